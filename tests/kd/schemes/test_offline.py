from kd.schemes.offline import Alone, Offline


def test_the_student_learns_from_the_teacher(make_spec, make_output):
    specs = {"student": make_spec(), "teacher": make_spec(widths=(8,) * 7)}
    outputs = {name: make_output(spec) for name, spec in specs.items()}
    scheme = Offline()
    pairs = scheme.pairs(specs)
    assert list(map(str, pairs)) == ["student<-teacher"]
    (lesson,) = scheme.lessons(pairs, outputs.__getitem__)
    assert (lesson.learner, lesson.teacher) == (outputs["student"], outputs["teacher"])
    assert lesson.weight == 1


def test_alone_there_is_no_teacher(make_spec, make_output):
    scheme = Alone()
    pairs = scheme.pairs({"student": make_spec()})
    (lesson,) = scheme.lessons(pairs, lambda name: make_output(make_spec()))
    assert str(lesson.pair) == "student<-labels"
    assert lesson.teacher is None

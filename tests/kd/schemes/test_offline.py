from kd.schemes.offline import Alone, Offline


def test_the_student_learns_from_the_teacher(make_spec, make_output, step_of, lesson_of):
    specs = {"student": make_spec(), "teacher": make_spec(widths=(8,) * 7)}
    outputs = {name: make_output(spec) for name, spec in specs.items()}
    scheme = Offline()
    assert list(map(str, scheme.pairs(specs))) == ["student<-teacher"]
    lesson = lesson_of(scheme, specs, step_of(outputs))
    assert (lesson.learner, lesson.teacher) == (outputs["student"], outputs["teacher"])
    assert lesson.weight == lesson.label_weight == 1


def test_a_mentor_teaches_in_the_teachers_place(make_spec, make_output, step_of, lesson_of):
    specs = {name: make_spec() for name in ("student", "teacher", "mentor")}
    outputs = {name: make_output(spec) for name, spec in specs.items()}
    scheme = Offline(mentor={"model": None})
    assert list(scheme.teachers()) == ["mentor"]
    assert list(map(str, scheme.pairs(specs))) == ["student<-mentor"]
    assert lesson_of(scheme, specs, step_of(outputs)).teacher is outputs["mentor"]


def test_alone_there_is_no_teacher(make_spec, make_output, step_of, lesson_of):
    specs = {"student": make_spec()}
    lesson = lesson_of(Alone(), specs, step_of({"student": make_output(specs["student"])}))
    assert str(lesson.pair) == "student<-labels"
    assert lesson.teacher is None

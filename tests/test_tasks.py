"""Numbers, any labels, tags and answers: whole runs with every student, a teacher fine-tuned for it, and the store."""

import csv
import json
from itertools import product
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from data.words import passage_numbers, word_numbers, words_and_marks
from kd.assembly import Assembly
from kd.plan import make_plan
from models.transformer import load
from potstill.errors import UserError
from train import run

pytestmark = pytest.mark.slow

THINGS = ("film", "story", "plot", "acting", "cast", "ending", "music")
ASKED = ("data.text=[question,sentence]", "data.task.no_answer=true")
LOADERS = {"tagging": AutoModelForTokenClassification, "question_answering": AutoModelForQuestionAnswering}
MOODS = ("wonderful", "moving", "brilliant", "charming", "dull", "awful", "boring", "clumsy")


def as_number(text: str, label: str) -> str:
    """How good, and a little for the kind of thing."""
    return f"{2.0 * (label == 'good') + 0.25 * any(thing in text for thing in THINGS):g}"


def as_labels(text: str, label: str) -> str:
    """Whether good, and whether about certain things; perhaps neither."""
    about = any(thing in text for thing in THINGS)
    return "|".join([*(["good"] if label == "good" else []), *(["thing"] if about else [])]) or "|"


def as_tags(text: str, label: str) -> str:
    """Certain things, and moods."""
    kinds = ("B-thing" if word in THINGS else "B-mood" if word in MOODS else "O" for word in text.split())
    return " ".join(kinds)


def as_answer(text: str, label: str) -> str:
    """The first mood, if there is a certain one."""
    found = [{"text": word, "answer_start": text.index(word)} for word in text.split() if word in MOODS]
    return json.dumps(found[:1])


TASKS = {
    "regression": (as_number, ["kd=[logits,hidden_states]", "optimizer.lr=3e-3", "trainer.max_epochs=16"], "pearson"),
    "multi_label": (as_labels, ["kd=[response,pooled]", "optimizer.lr=3e-3", "trainer.max_epochs=8"], "f1"),
    "tagging": (as_tags, ["kd=[response,hidden_states]", "optimizer.lr=5e-3", "trainer.max_epochs=15"], "f1"),
    "question_answering": (
        as_answer,
        ["kd=[response,pooled]", "optimizer.lr=5e-3", "trainer.max_epochs=15", *ASKED],
        "f1",
    ),
}


@pytest.fixture
def configured(configure, folder, pretrained, tmp_path):
    def configured(task, *more):
        label, kd, _ = TASKS[task]
        paths = []
        for split in ("train", "validation", "test", "unlabelled"):
            with (folder / f"{split}.csv").open(newline="") as file:
                rows = [(row["sentence"], row.get("label")) for row in csv.DictReader(file)]
            with (tmp_path / f"{split}.csv").open("w", newline="") as file:
                known = [("a film", text, label(text, mood)) for text, mood in rows]
                csv.writer(file).writerows([("question", "sentence", "label"), *known])
            paths.append(f"data.{split}={tmp_path}/{split}.csv")
        teacher = [f"teacher.path={pretrained}", "teacher.fine_tuning.epochs=25"]
        teacher += ["teacher.fine_tuning.learning_rate=3e-3"]
        return configure(f"data/task={task}", *paths, *teacher, *kd, "logger=[]", *more)

    return configured


@pytest.mark.parametrize(
    ("task", "student"),
    [*product(TASKS, ("bert_small", "bilstm", "cnn_lstm")), ("tagging", "pqrnn"), ("question_answering", "pqrnn")],
)
def test_a_task_is_learnt_and_reported(task, student, configured):
    config = configured(task, f"student={student}")
    score = run(config, [])
    path = Path(config.run_dir)
    report = json.loads((path / "report.json").read_text())
    assert (report["task"], report["metric"]) == (task, TASKS[task][2])
    assert report["teacher"]["score"] > 0.7
    assert score > 0.6
    assert report["baseline"]["score"] > 0.5
    with (path / "predictions.csv").open(newline="") as said, Path(config.data.test).open(newline="") as test:
        assert_said(task, path, next(csv.DictReader(said)), next(csv.DictReader(test))["sentence"])


def assert_said(task, path, row, text):
    """What the report was made of is what a stranger's loaded student says."""
    model, tokenizer = LOADERS.get(task, AutoModelForSequenceClassification), AutoTokenizer
    model, tokenizer = (each.from_pretrained(path / "student") for each in (model, tokenizer))
    texts = ["a film", text] if task == "question_answering" else [text]
    encoded = tokenizer(*texts, return_tensors="pt")
    with torch.no_grad():
        output = model.eval()(**encoded)
    if task == "question_answering":
        assert row["prediction"] == best_answer(text, texts, encoded.encodings[0], output)
        return
    logits = output.logits[0]
    if task == "regression":
        assert logits.item() == pytest.approx(float(row["prediction"]), abs=1e-4)
    elif task == "multi_label":
        assert logits.sigmoid().tolist() == pytest.approx([float(row[name]) for name in ("good", "thing")], abs=1e-4)
    else:
        words = word_numbers([text], encoded.encodings[0], 64).tolist()
        first = [words.index(number) for number in range(len(text.split()))]
        assert [model.config.id2label[int(logits[place].argmax())] for place in first] == row["prediction"].split()


def best_answer(text, texts, encoding, output):
    """From logits of tokens, those of a word added up; none where that is worth more."""
    places, spans = passage_numbers(texts, encoding, 64), words_and_marks(text)

    def worth(logits, number):
        return logits[0, [place for place, its in enumerate(places) if its == number]].logsumexp(0).item()

    starts, ends = (
        [worth(logits, number) for number in range(len(spans) + 1)]
        for logits in (output.start_logits, output.end_logits)
    )
    scores = {(a, b): starts[a] + ends[b] for a in range(1, len(spans) + 1) for b in range(a, len(spans) + 1)}
    first, last = max(scores, key=scores.get)
    return "" if starts[0] + ends[0] > scores[first, last] else text[spans[first - 1][0] : spans[last - 1][1]]


def test_a_tagger_with_words_of_its_own_learns_from_pieces(configured):
    config = configured("tagging", "student=bilstm", "student.vocabulary=words", "student.vocabulary_size=15")
    assert make_plan(config).drafts["student"].spec.segmentation != make_plan(config).teacher.spec.segmentation
    assert run(config, []) > 0.6


@pytest.mark.parametrize("compared", ["marginals", "emissions"])
@pytest.mark.parametrize("student", ["bilstm", "cnn_lstm"])
def test_tags_may_depend_on_each_other(student, compared, configured):
    config = configured("tagging", f"student={student}", f"student.crf={compared}", "baseline=false")
    assert run(config, []) > 0.6
    path = Path(config.run_dir)
    found = load(path / "student")
    assert found.model.transitions.abs().max() > 0.01
    with (path / "predictions.csv").open(newline="") as said, Path(config.data.test).open(newline="") as test:
        rows = [
            (row["sentence"], answer["prediction"])
            for row, answer in zip(*map(csv.DictReader, (test, said)), strict=True)
        ]
    for text, answer in rows[:9]:
        encoded = found.tokenizer(text, return_tensors="pt")
        words = torch.from_numpy(word_numbers([text], encoded.encodings[0], 64))[None]
        with torch.no_grad():
            output = found.eval()({found.spec.tokenizer: {**encoded, "words": words, "word_count": len(text.split())}})
        assert " ".join(found.model.config.id2label[tag] for tag in best_chain(*output.chain)) == answer
        summed = output.logits.exp().sum(-1)
        assert torch.allclose(summed, torch.ones_like(summed)) == (compared == "marginals")


def best_chain(emissions, transitions):
    """Viterbi's, of one text."""
    score, back = transitions[-1, :-1] + emissions[0, 0], []
    for scores in emissions[0, 1:]:
        score, came = (score[:, None] + transitions[:-1, :-1] + scores).max(0)
        back.append(came)
    tags = [int((score + transitions[:-1, -1]).argmax())]
    for came in reversed(back):
        tags.append(int(came[tags[-1]]))
    return tags[::-1]


@pytest.mark.parametrize(
    ("task", "more", "reason"),
    [
        ("regression", ["student=bilstm", "student.crf=marginals"], "student.crf: it is over the tags of words"),
        ("regression", ["kd=response"], "1 class: one number has no probabilities; say kd=logits"),
        ("multi_label", ["kd=decoupled"], "2 classes: there is but one other class"),
        ("regression", ["scheme=teacher_free"], "scheme: it has no meaning for regression"),
        ("multi_label", ["scheme=progressive"], "scheme: it has no meaning for multi_label"),
        ("tagging", ["scheme=collaborative"], "scheme: it has no meaning for tagging"),
        ("tagging", ["scheme=self", "student=bert_small"], "its exits have one answer for a text"),
        ("regression", ["data.metric=accuracy"], r"data.metric: 'accuracy' is none of pearson, spearman"),
        ("multi_label", ["data.labels=[good]"], r"train.csv:\d+: unknown label '.*thing'"),
        ("question_answering", ["kd=dist"], "question answering: what one text chooses among"),
        ("question_answering", ["scheme=self", "student=bert_small"], "its exits have one answer for a text"),
        ("question_answering", ["data.text=sentence"], r"data.text: name two columns"),
        ("question_answering", ["data.task.no_answer=false"], r"train.csv:\d+: no answer"),
        ("tagging", ["data.labels=[O,B-mood]"], r"train.csv:\d+: unknown label 'B-thing'"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(task, more, reason, configured):
    with pytest.raises(UserError, match=reason):
        make_plan(configured(task, *more))


@pytest.mark.parametrize(
    ("task", "label", "reason"),
    [
        ("regression", "bad", r"train.csv:98: the label 'bad' is no number in the train split \(1 such rows\)"),
        ("tagging", "O O", r"train.csv:98: 2 tags for 3 words in the train split \(1 such rows\); each word has one"),
    ],
)
def test_a_label_that_is_none_is_named_by_file_and_line(task, label, reason, configured, tmp_path):
    config = configured(task)
    with (tmp_path / "train.csv").open("a") as file:
        file.write(f"a film,a dull film,{label}\n")
    with pytest.raises(UserError, match=reason):
        make_plan(config)


@pytest.mark.parametrize("task", ["regression", "multi_label", "tagging"])
def test_variants_of_texts_are_asked_about(task, configured):
    config = configured(
        task, "data/augmentation=tang", "data.augmentation.copies=2", "student=bilstm", "baseline=false"
    )
    plan = make_plan(config)
    assert len(plan.rows) > 200
    config.trainer.max_epochs = 1
    assert -1 <= run(config, []) <= 1


def test_a_chain_without_labels_has_nothing_to_learn_from(configured):
    with pytest.raises(UserError, match=r"kd\.label_weight=0: only labels teach a chain"):
        make_plan(configured("tagging", "student=bilstm", "student.crf=emissions", "kd.label_weight=0"))


def score_on_test(config):
    """That of the student after a run."""
    run(config, [])
    return json.loads((Path(config.run_dir) / "report.json").read_text())["student"]["score"]


def test_targets_from_the_neighbours_of_a_tag(configured):
    with pytest.raises(UserError, match="scheme: it has no meaning for regression"):
        make_plan(configured("regression", "scheme=neighbours"))
    config = configured("tagging", "scheme=neighbours", "kd=soft_cross_entropy", "student=cnn_lstm", "baseline=false")
    assert score_on_test(config) > 0.5


@pytest.mark.parametrize("task", TASKS)
def test_two_students_of_a_task_learn_from_each_other(task, configured):
    config = configured(task, "scheme=mutual", "student=bilstm", "baseline=false")
    assert score_on_test(config) > 0.5


class Kept(Assembly):
    """Keeps what was fitted, and the batches as they were read."""

    def _fit(self, distiller, batches, *args, **kwargs):
        fitted = super()._fit(distiller, batches, *args, **kwargs)
        self.distiller, self.batches = distiller, batches
        return fitted


@pytest.mark.parametrize("words", [[], ["student.vocabulary=words", "student.vocabulary_size=15"]], ids=["one", "two"])
@pytest.mark.parametrize("task", TASKS)
def test_nobody_can_tell_a_stored_answer_from_a_live_one(task, words, configured, tmp_path):
    more = ["student=bilstm", "store.dtype=float32", f"store.folder={tmp_path}/store", "trainer.max_epochs=1", *words]
    config = configured(task, *more, "data.max_length=8")  # at which texts are cut
    assembly = Kept(config, make_plan(config), tmp_path / "run", [])
    teachers, _ = assembly.teachers()
    assembly.distil(teachers)
    signal, count = assembly.distiller.signals["teacher"], 0
    for batch in assembly.batches.train_dataloader():
        stored, live = signal(batch), signal.live(batch)
        assert "stored" in batch
        torch.testing.assert_close(stored.logits, live.logits, rtol=1e-4, atol=1e-4)
        assert (stored.rows is None) == (task != "tagging")
        assert (stored.choices is None) == (task != "question_answering")
        for one, other in ((stored.rows, live.rows), (stored.choices, live.choices)):
            assert one is None or one.equal(other)
        count += len(batch["id"])
    assert count >= 96


def test_a_tagger_is_gone_on_with_and_found_again(configured, tmp_path):
    """As a teacher that is tuned already, and as the first weights of a student."""
    first = configured("tagging", "student=bilstm", "baseline=false", f"run_dir={tmp_path}/first")
    run(first, [])
    again = configured("tagging", "student=bilstm", "baseline=false", f"start_from={tmp_path}/first/student")
    assert run(again, []) > 0.5
    taught = ["teacher=local", f"teacher.path={tmp_path}/first/student", "student.embeddings=random"]
    taught += ["student.embedding_size=16", f"run_dir={tmp_path}/second", "student=bilstm", "baseline=false"]
    config = configured("tagging", *taught, "kd=response")
    assert "used as it is" in str(make_plan(config))
    run(config, [])
    with pytest.raises(UserError, match="it has a head for another task"):
        make_plan(configured("regression", *taught))


@pytest.mark.parametrize(
    "scheme", ["ensemble", "codistillation", "joint", "mean_teacher", "snapshot", "native_ensemble"]
)
@pytest.mark.parametrize("task", TASKS)
def test_a_scheme_takes_a_task_or_says_why_not(task, scheme, configured):
    more = ["student=bilstm", "baseline=false", "trainer.max_epochs=2"]
    kd = ["kd=response"] if task != "regression" else ["kd=logits"]
    config = configured(task, f"scheme={scheme}", *more, *kd)
    refused = {
        "ensemble": task in ("regression", "multi_label"),
        "codistillation": task in ("regression", "multi_label"),
        "native_ensemble": task in ("tagging", "question_answering"),
    }
    if refused.get(scheme):
        with pytest.raises(UserError, match=r"scheme: its? "):
            make_plan(config)
    else:
        assert -1 <= run(config, []) <= 1  # of a correlation in two epochs nothing can be said


@pytest.fixture
def guessing(configure, folder, pretrained, tmp_path):
    """Configures runs over masked words of texts."""

    def guessing(*more):
        paths = []
        for split in ("train", "validation", "test"):
            with (folder / f"{split}.csv").open(newline="") as file:
                texts = [row["sentence"] for row in csv.DictReader(file)]
            (tmp_path / f"{split}.txt").write_text("\n".join(texts))
            paths.append(f"data.{split}={tmp_path}/{split}.txt")
        teacher = [
            f"teacher.path={pretrained}",
            "teacher.fine_tuning.epochs=30",
            "teacher.fine_tuning.learning_rate=3e-3",
        ]
        settings = ["data.task.block=0", "data.task.maskings=2", "student=bert_small", "optimizer.lr=3e-3", "logger=[]"]
        own = ["data/task=masked_lm", "data.text=text", "data.unlabelled=null", "trainer.max_epochs=10"]
        return configure(*own, *paths, *teacher, *settings, *more)

    return guessing


def test_masked_words_are_learnt_from_a_teacher_and_the_encoder_goes_on(guessing, configured, tmp_path):
    config = guessing("kd=[response,hidden_states]", "data.task.whole_words=true", f"run_dir={tmp_path}/general")
    assert run(config, []) > 0.2
    report = json.loads((tmp_path / "general" / "report.json").read_text())
    assert (report["metric"], report["teacher"]["score"] > 0.25) == ("accuracy", True)
    student = tmp_path / "general" / "student"
    assert AutoModelForMaskedLM.from_pretrained(student).config.num_hidden_layers == 2
    config = configured("tagging", "student=bert_small", f"start_from={student}")
    assembly = Assembly(config, make_plan(config), tmp_path / "run", [])
    teacher = assembly.teachers()[0]["teacher"]
    started, saved = assembly._started("student", teacher).model.base_model, AutoModel.from_pretrained(student)
    for name, weight in started.state_dict().items():
        assert weight.equal(saved.state_dict()[name]), name
    run(config, [])
    report = json.loads((Path(config.run_dir) / "report.json").read_text())
    assert report["updates"] == 15 * 9, "those of the masked words do not count for the baseline"
    with pytest.raises(UserError, match=r"start_from: .* has another network than the student"):
        make_plan(configured("tagging", "student=bert_small", f"start_from={student}", "student.intermediate_size=48"))


def test_another_share_of_masked_words_finds_no_answers_about_the_first(guessing, tmp_path):
    for share in (0.15, 0.4):
        config = guessing(
            "kd=response", f"data.task.share={share}", "trainer.max_epochs=1", f"run_dir={tmp_path}/{share}"
        )
        run(config, [])


@pytest.mark.parametrize("scheme", ["mutual", "ensemble", "codistillation", "born_again"])
def test_a_scheme_takes_masked_words(scheme, guessing):
    assert 0 <= run(guessing("kd=response", f"scheme={scheme}", "trainer.max_epochs=1", "baseline=false"), []) <= 1


def test_a_question_of_several_windows_has_one_answer(configured):
    config = configured("question_answering", "data.task.window=4", "data.task.overlap=2", "trainer.max_epochs=1")
    run(config, [])
    examples = make_plan(config).examples
    with (Path(config.run_dir) / "predictions.csv").open(newline="") as file:
        said = list(csv.DictReader(file))
    assert len(said) == 48 < len(examples.test)
    assert said[0]["id"] == examples.test[0]["where"]


def test_answers_about_masked_words_are_stored_the_largest_few(guessing, tmp_path):
    config = guessing("kd=response", f"store.folder={tmp_path}/store", "store.top_k=9", "trainer.max_epochs=1")
    assembly = Kept(config, make_plan(config), tmp_path / "run", [])
    assembly.distil(assembly.teachers()[0])
    signal = assembly.distiller.signals["teacher"]
    for batch in assembly.batches.train_dataloader():
        stored, live = signal(batch), signal.live(batch)
        assert stored.rows.equal(live.rows)
        _top, classes = live.logits[live.rows].topk(9)
        both = (output.logits[live.rows].float().log_softmax(-1).gather(-1, classes) for output in (stored, live))
        torch.testing.assert_close(*both, rtol=0, atol=2e-2)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["student=bilstm"], "potstill_bilstm: transformers has no such network for masked lm"),
        (["data.labels=[a,b]"], "data.labels: masked words are no classes"),
        (["data.metric=perplexity"], "data.metric: 'perplexity': the score that is to rise is accuracy"),
        (["scheme=self"], "its exits have one answer for a text, and masked_lm asks for several"),
    ],
)
def test_what_cannot_guess_masked_words_is_refused_in_one_line(more, reason, guessing):
    with pytest.raises(UserError, match=reason):
        make_plan(guessing("kd=response", *more))


def test_a_teacher_that_guesses_already_is_used_as_it_is(guessing, tmp_path):
    run(guessing("kd=response", "trainer.max_epochs=1", f"run_dir={tmp_path}/first", "baseline=false"), [])
    config = guessing("kd=response", f"teacher.path={tmp_path}/first/student", "teacher.train=false")
    assert "used as it is" in str(make_plan(config))

import itertools
import json

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from data.examples import Split, prepare
from data.question_answering import AnswerScore, QuestionAnswering, answers_of, place
from data.sources import Columns, Files, Hub
from data.words import words_and_marks
from models.output import NEVER
from potstill.errors import UserError

TASK = QuestionAnswering(("start", "end"))
CONTEXT = "It opened on 5 May 1999, in New York. Nobody came."


def rows(*answers, context=CONTEXT, question="When?"):
    """A row for each list of answers; None for a row without label."""
    known = [some and [{"text": text, "answer_start": at} for text, at in some] for some in answers]
    labels = [None if some is None else json.dumps(some) for some in known]
    count = len(labels)
    columns = {
        "text": [f"{question} ({number})" for number in range(count)],
        "text_pair": [context] * count,
        "label": labels,
        "group": [None] * count,
    }
    columns |= {"where": [f"a.json: question {number}" for number in range(count)]}
    columns |= {"id": list(range(count)), "loose_id": list(range(count))}
    return Dataset.from_dict(columns, features=Columns(["text", "text_pair"]).features)


def logits_for(*places, words=12, high=5.0):
    """Logits `[B, 2, words]` that speak for these words."""
    logits = torch.zeros(len(places), 2, words)
    for row, (start, end) in enumerate(places):
        logits[row, 0, start] = logits[row, 1, end] = high
    return logits


def scores(task, data, logits):
    metrics = task.metrics(data)
    metrics.update(task.predictions(logits), torch.zeros(len(logits), 2), ids=torch.tensor(data["id"]))
    return {name: score.item() for name, score in metrics.compute().items()}


def test_a_short_text_is_one_window():
    data = TASK.prepared(rows([("5 May 1999", 13)], None), "train")
    assert data["text_pair"][:] == [CONTEXT] * 2
    assert data["label"][:] == ["[4, 6]", None]
    assert data["answers"][:] == [["5 May 1999"], []]
    assert TASK.encode(data["label"][0], "") == [4, 6]


def test_a_long_text_is_cut_into_windows_that_overlap():
    task = QuestionAnswering(("start", "end"), window=6, overlap=2)
    data = task.prepared(rows([("New York", 28)]), "train")
    words = [len(words_and_marks(text)) for text in data["text_pair"]]
    assert words == [6, 6, 6]
    assert data["text_pair"][1] == "May 1999, in New York"
    assert data["label"][:] == ["[0, 0]", "[5, 6]", "[1, 2]"]
    assert len(set(data["of"])) == 1
    assert len(set(data["id"])) == 3


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 7))
def test_windows_leave_no_word_out(words, window, overlap):
    overlap = min(overlap, window - 1)
    task = QuestionAnswering(("start", "end"), window=window, overlap=overlap)
    context = " ".join(f"w{number}" for number in range(words))
    row = {"text": "q", "text_pair": context, "label": None, "where": "x"}
    windows = [part["text_pair"].split() for part in task._windows_of(row)]
    assert {word for part in windows for word in part} == set(context.split())
    assert all(len(part) <= window for part in windows)
    assert all(one[-overlap:] == other[:overlap] for one, other in itertools.pairwise(windows) if overlap)


def test_where_an_answer_stands():
    words = words_and_marks(CONTEXT)
    assert place([("1999", 19)], words) == (6, 6)
    assert place([("99", 21)], words) == (6, 6)
    assert place([("York.", 32)], words) == (10, 11)
    assert place([], words) == (0, 0)
    assert place([("5 May 1999", 13)], words[:5]) == (0, 0)


@pytest.mark.parametrize(
    "label", ['{"text": ["New York"], "answer_start": [28]}', '[{"text": "New York", "answer_start": 28}]']
)
def test_answers_are_read_as_the_hub_and_as_squad_write_them(label):
    assert answers_of(label, CONTEXT) == [("New York", 28)]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("New York", "is no list of answers"),
        ('["New York"]', "is no list of answers"),
        ('{"text": ["a", "b"], "answer_start": [1]}', "is no list of answers"),
        ('[{"text": "New York", "answer_start": 27}]', "'New York' does not stand at character 27"),
        ('[{"text": "", "answer_start": 3}]', "does not stand at character 3"),
        ('[{"text": ".", "answer_start": -1}]', "does not stand at character -1"),
        ('[{"text": ".", "answer_start": Infinity}]', "is no list of answers"),
    ],
)
def test_a_wrong_answer_is_named_with_its_place(label, reason):
    splits = {name: rows([("New York", 28)]) for name in ("validation", "test")}
    wrong = rows([("New York", 28)], []).map(
        lambda row, number: {"label": label if number else row["label"]}, with_indices=True
    )
    for split in ("train", "test"):
        with pytest.raises(
            UserError, match=rf"^a.json: question 1: .*{reason}.* in the {split} split \(1 such rows\)$"
        ):
            prepare({"train": rows([("New York", 28)]), **splits, split: wrong}, Split(), task=TASK)


def test_a_question_without_answer_has_to_be_allowed():
    splits = {name: rows([("New York", 28)], []) for name in ("train", "validation", "test")}
    with pytest.raises(UserError, match=r"question 1: no answer; .*data\.task\.no_answer=true in the train split"):
        prepare(splits, Split(), task=TASK)
    assert len(prepare(splits, Split(), task=TASK, skip=True).train) == 1
    assert QuestionAnswering(no_answer=True).prepared(rows([]), "train")["label"][:] == ["[0, 0]"]


def test_the_loss_is_the_mean_of_begin_and_end():
    logits = torch.randn(2, 2, 5)
    labels = torch.tensor([[1, 2], [4, 4]])
    start, end = F.cross_entropy(logits[:, 0], labels[:, 0]), F.cross_entropy(logits[:, 1], labels[:, 1])
    assert TASK.loss(logits, labels).item() == pytest.approx((start + end).item() / 2, rel=1e-5)


def test_what_is_cut_off_or_not_known_costs_nothing():
    logits = torch.randn(3, 2, 5)
    logits[:, :, 3] = NEVER
    labels = torch.tensor([[1, 3], [7, 9], [-100, -100]])
    assert TASK.loss(logits, labels).item() == 0
    labels[0, 1] = 2
    expected = F.cross_entropy(logits[0], labels[0]) / 3
    assert TASK.loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 5))
def test_the_best_answer_is_the_best_of_all(seed, words, longest):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 2, words, generator=draw)
    task = QuestionAnswering(("start", "end"), longest=longest)
    start, end, score, nothing = task.predictions(logits)[0].tolist()
    all_of_them = {
        (first, last): (logits[0, 0, first] + logits[0, 1, last]).item()
        for first in range(1, words)
        for last in range(first, min(words, first + longest))
    }
    assert (start, end) == max(all_of_them, key=all_of_them.get)
    assert score == pytest.approx(max(all_of_them.values()), abs=1e-6)
    assert nothing == pytest.approx(logits[0, :, 0].sum().item(), abs=1e-6)


def test_scores_are_those_of_squads_script():
    """The second answer shares two of three words with the known one; articles and marks do not count."""
    data = TASK.prepared(
        rows([("5 May 1999", 13)], [("5 May 1999", 13)], [("5 May 1999,", 13), ("Nobody", 38)]), "train"
    )
    found = scores(TASK, data, logits_for((4, 6), (4, 5), (4, 7)))
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx((1 + 0.8 + 1) / 3)


def test_the_best_window_of_a_question_counts():
    task = QuestionAnswering(("start", "end"), window=6, overlap=2)
    data = task.prepared(rows([("New York", 28)]), "train")
    logits = torch.cat([logits_for((1, 1), high=4.0), logits_for((5, 6), high=6.0), logits_for((3, 3), high=5.0)])
    assert scores(task, data, logits) == {"exact_match": 1.0, "f1": 1.0}
    said = task.predictions(logits)
    assert list(task.lines(data, list(said))) == [["a.json: question 0", "New York", "New York"]]


def test_no_answer_is_given_where_it_is_worth_more_in_every_window():
    task = QuestionAnswering(("start", "end"), no_answer=True)
    data = task.prepared(rows([], [("New York", 28)]), "train")
    nothing = logits_for((0, 0), (0, 0))
    assert scores(task, data, nothing) == {"exact_match": 0.5, "f1": 0.5}
    data = TASK.prepared(rows([("New York", 28)]), "train")
    assert scores(TASK, data, logits_for((0, 0)))["exact_match"] == 0.0
    assert next(iter(TASK.lines(data, list(TASK.predictions(logits_for((0, 0)))))))[2] != ""


def test_a_text_of_which_nothing_is_left_has_no_answer():
    data = TASK.prepared(rows([("New York", 28)]), "train")
    logits = torch.full((1, 2, 1), 0.0)
    assert scores(TASK, data, logits)["f1"] == 0.0


@pytest.mark.parametrize("settings", [{"window": 0}, {"overlap": -1}, {"longest": 0}, {"window": 5, "overlap": 5}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match=r"data\.task\."):
        QuestionAnswering(**settings)


def test_two_columns_are_needed_and_no_names():
    with pytest.raises(UserError, match=r"data\.text: name two columns"):
        TASK.prepared(rows(None).remove_columns("text_pair"), "train")
    with pytest.raises(UserError, match=r"data\.labels"):
        TASK.names([], ["a"])


def test_a_file_of_squad(tmp_path):
    asked = {"id": "q1", "question": "Where?", "answers": [{"text": "New York", "answer_start": 28}]}
    nowhere = {"id": "q2", "question": "Why?", "answers": [], "is_impossible": True}
    article = {"title": "Film", "paragraphs": [{"context": CONTEXT, "qas": [asked, nowhere]}]}
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"version": "1.1", "data": [article]}))
    read = Files(train=str(path)).read(Columns(["question", "context"], "answers"), tmp_path / "cache")["train"]
    assert read["where"][:] == [f"{path}: question q1", f"{path}: question q2"]
    assert QuestionAnswering(no_answer=True).prepared(read, "train")["label"][:] == ["[9, 10]", "[0, 0]"]
    del asked["question"]
    path.write_text(json.dumps({"data": [article]}))
    with pytest.raises(UserError, match=r"train.json: not as SQuAD's files are, in article .*'question'"):
        Files(train=str(path)).read(Columns(["question", "context"], "answers"), tmp_path / "cache")


def test_answers_of_the_hub(tmp_path):
    asked = {"question": "Where?", "context": CONTEXT, "answers": {"text": ["New York"], "answer_start": [28]}}
    (tmp_path / "data").mkdir()
    Dataset.from_list([asked]).to_parquet(tmp_path / "data" / "train.parquet")
    read = Hub(str(tmp_path / "data")).read(Columns(["question", "context"], "answers"), tmp_path)["train"]
    assert TASK.prepared(read, "train")["label"][:] == ["[9, 10]"]


def by_n_best(windows, logits, no_answer, longest, count=20):
    """The answer as transformers' example script finds it, from its best pairs of the best begins and ends."""
    candidates, nothing = [], min((row[0, 0] + row[1, 0]).item() for row in logits)
    for text, row in zip(windows, logits, strict=True):
        spans = words_and_marks(text)
        starts, ends = (side.argsort(descending=True)[:count].tolist() for side in row)
        for start in starts:
            for end in ends:
                inside = 0 < start <= end <= len(spans)
                if inside and end - start < longest:
                    score = (row[0, start] + row[1, end]).item()
                    candidates.append((score, text[spans[start - 1][0] : spans[end - 1][1]]))
    best = max(candidates)
    return "" if no_answer and nothing > best[0] else best[1]


@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 6))
def test_answers_are_those_of_transformers_example_script(seed, no_answer, longest):
    task = QuestionAnswering(("start", "end"), window=6, overlap=3, longest=longest, no_answer=no_answer)
    windows = [
        part["text_pair"] for part in task._windows_of({"text": "q", "text_pair": CONTEXT, "label": None, "where": ""})
    ]
    logits = torch.randn(len(windows), 2, 7, generator=torch.Generator().manual_seed(seed))
    logits[:, :, 0] += 1.5
    for number, text in enumerate(windows):
        logits[number, :, len(words_and_marks(text)) + 1 :] = NEVER
    rows = [{"text_pair": text} for text in windows]
    answer = task._answer(rows, task.predictions(logits).tolist())
    assert answer == by_n_best(windows, logits, no_answer, longest)


def test_white_space_around_an_answer_is_no_part_of_it():
    assert answers_of('[{"text": " New York. ", "answer_start": 27}]', CONTEXT) == [("New York.", 28)]


def test_what_several_processes_counted_is_counted_once():
    data = TASK.prepared(rows([("5 May 1999", 13)], [("5 May 1999", 13)]), "validation")
    score = AnswerScore("exact_match", TASK, data)
    said = TASK.predictions(logits_for((4, 6), (4, 5)))
    score.ids, score.said = torch.tensor([*data["id"], *data["id"]]), torch.cat([said, said])
    assert score.compute().item() == 0.5


def test_windows_that_are_cut_are_noted():
    assert "say data.max_length=384" in TASK.note(128)
    assert TASK.note(384) is None


def test_what_a_row_without_label_said_of_answers_does_not_matter():
    splits = {name: rows([("New York", 28)], [("York", 3)]) for name in ("train", "validation", "test")}
    with pytest.raises(UserError, match="question 1: the answer 'York' does not stand"):
        prepare(splits, Split(), task=TASK)
    data = QuestionAnswering(window=6, overlap=2).prepared(splits["train"], "unlabelled")
    assert len(data) == 6
    assert set(data["label"]) == {None}

"""The task of finding the answer to a question in a text."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from datasets import Dataset, Features, List, Value
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.functional.text import squad

from data.sources import id_of
from data.task import IGNORED, Task
from data.words import Numbering, passage_numbers, words_and_marks
from potstill import fingerprint
from potstill.errors import UserError

NOWHERE = (0, 0)  # begin and end of no answer
IMPOSSIBLE = -5e3  # between the sum of any two logits and that with one of a word that is not there
METRICS = ("f1", "exact_match")


@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Where in a text the answer begins and where it ends, as in SQuAD: the mean of two cross-entropies over its words.

    Papers: Rajpurkar et al., 2016, arXiv 1606.05250, and 2018, arXiv 1806.03822, where a text may have no answer. A
    position is a run of letters and digits or another character, not a token, so that networks with different
    tokenizers speak of the same ones; the probability of a word is that of its tokens together. The first token
    stands for no answer. A long text is cut into windows of so many words that share some, as BERT's authors do with
    tokens; of a question's windows the one with the best answer counts, and there is none where that is worth less
    than the smallest score of no answer.

    Args:
        labels: of the two numbers of a word.
        metric: `f1` of the words of the answer, or `exact_match`; both as SQuAD's script has them.
        window: words and marks of a text that are read at once.
        overlap: how many of them two neighbouring windows share.
        longest: words and marks of an answer at most.
        no_answer: whether a text may have none.
    """

    window: int = 250
    overlap: int = 100
    longest: int = 30
    no_answer: bool = False

    name: ClassVar[str] = "question_answering"
    problem: ClassVar[str] = "question_answering"
    missing: ClassVar[Any] = (IGNORED, IGNORED)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("window", 1), ("overlap", 0), ("longest", 1)):
            if not isinstance(value := getattr(self, key), int) or value < least:
                raise UserError(f"data.task.{key}: {value!r} is not a whole number from {least} on")
        if self.overlap >= self.window:
            raise UserError(f"data.task.overlap: {self.overlap} is not below data.task.window, {self.window}")

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        if given is not None:
            raise UserError("data.labels: answers are no classes; leave it out")
        return ("start", "end")

    @property
    def words(self) -> Numbering:
        return passage_numbers

    @property
    def feature(self) -> Any:
        return List(Value("int64"), length=2)

    def note(self, max_length: int) -> str | None:
        if max_length > self.window:
            return None
        return f"windows of {self.window} words are cut at data.max_length={max_length} tokens; say data.max_length=384"

    def prepared(self, rows: Dataset, split: str) -> Dataset:
        """A row for each window: with its `label`, the known `answers` to the question, and what it is a part `of`."""
        if "text_pair" not in rows.column_names:
            raise UserError("data.text: name two columns, of question and text: 'data.text=[question,context]'")
        own = {"answers": List(Value("string")), "of": Value("int64")}
        labelled = split != "unlabelled"
        settings = [self.window, self.overlap, self.no_answer, labelled]
        return rows.map(
            partial(self._windows, labelled),
            batched=True,
            features=Features({**rows.features, **own}),
            new_fingerprint=fingerprint.of_value([rows._fingerprint, self.name, settings]),
        )

    def _windows(self, labelled: bool, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [] for name in (*batch, "answers", "of")}
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            row["label"] = row["label"] if labelled else None
            for window in self._windows_of(row):
                for name, value in window.items():
                    columns[name].append(value)
        return columns

    def _windows_of(self, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        context, question = row["text_pair"], row["text"]
        try:
            answers = None if row["label"] is None else self._answers(row["label"], context)
        except UserError as error:
            yield {**row, "answers": [], "of": 0, "label": json.dumps(str(error))}
            return
        words = words_and_marks(context)
        known = {"answers": [text for text, _ in answers or ()], "of": fingerprint.of_text(row["where"])}
        for first in range(0, max(1, len(words) - self.overlap), self.window - self.overlap):
            part = words[first : first + self.window] or [(0, len(context))]
            start, end = part[0][0], part[-1][1]
            text = context[start:end]
            label = None if answers is None else json.dumps(place(answers[:1], part))
            ids = {"id": id_of([question, text])}
            yield {**row, **known, **ids, "text_pair": text, "label": label}

    def _answers(self, label: str, context: str) -> list[tuple[str, int]]:
        answers = answers_of(label, context)
        if not answers and not self.no_answer:
            raise UserError("no answer; leave the question out, or say data.task.no_answer=true")
        return answers

    def encode(self, label: str, text: str) -> list[int] | None:
        return found if isinstance(found := json.loads(label), list) else None

    def complaint(self, label: str, text: str) -> tuple[str, str]:
        return json.loads(label), ""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Answers of which a word is cut off with the end of the text do not count.

        Args:
            logits: `[B, 2, words]`.
            labels: `[B, 2]`.
        """
        known = (labels >= 0) & (labels < logits.shape[-1])
        known &= logits.gather(-1, labels.where(known, 0).unsqueeze(-1)).squeeze(-1) > IMPOSSIBLE
        known = known.all(1, keepdim=True).expand_as(labels)
        labels = labels.where(known, IGNORED).flatten()
        return F.cross_entropy(logits.flatten(0, 1), labels, ignore_index=IGNORED, reduction="sum") / len(labels)

    @property
    def usual(self) -> str:
        return "f1"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        return MetricCollection({name: AnswerScore(name, self, rows, **options) for name in METRICS})

    def predictions(self, logits: Tensor) -> Tensor:
        """`[B, 4]`: the best answer's first and last word, its score, and that of no answer."""
        start, end = logits.unbind(1)
        words = logits.shape[-1]
        scores = start.unsqueeze(2) + end.unsqueeze(1)
        places = torch.ones(words, words, dtype=torch.bool, device=logits.device)
        allowed = places.triu() & places.tril(self.longest - 1)
        allowed[0] = False
        best, place = scores.masked_fill(~allowed, 4 * IMPOSSIBLE).flatten(1).max(1)
        return torch.stack([place // words, place % words, best, start[:, 0] + end[:, 0]], 1)

    @property
    def columns(self) -> Sequence[str]:
        return ()

    def lines(self, rows: Dataset, predictions: Sequence[Tensor]) -> Iterator[list[Any]]:
        """A line for each question: where it came from, the known answers, and that of the model."""
        said = {row: prediction.tolist() for row, prediction in zip(rows["id"], predictions, strict=True)}
        for windows, answer in self.answers(rows, said):
            yield [windows[0]["where"], " | ".join(dict.fromkeys(windows[0]["answers"])), answer]

    def answers(
        self, rows: Dataset, said: Mapping[int, Sequence[float]]
    ) -> Iterator[tuple[list[Mapping[str, Any]], str]]:
        """The windows of each question and the answer that follows from the predictions, by id; it may be empty."""
        for _, group in groupby(rows, key=lambda row: row["of"]):
            windows = [row for row in group if row["id"] in said]
            if windows:
                yield windows, self._answer(windows, [said[row["id"]] for row in windows])

    def _answer(self, windows: Sequence[Mapping[str, Any]], said: Sequence[Sequence[float]]) -> str:
        number = max(range(len(windows)), key=lambda window: said[window][2])
        first, last, score, _ = said[number]
        if score < IMPOSSIBLE or (self.no_answer and min(nothing for *_, nothing in said) > score):
            return ""
        text = windows[number]["text_pair"]
        words = words_and_marks(text)
        return text[words[int(first) - 1][0] : words[int(last) - 1][1]]


class AnswerScore(Metric):
    """F1 or exact match of answers over questions, as SQuAD's script counts them.

    Args:
        score: which.
        task: puts windows together.
        rows: the windows, with their texts and the known answers.
        options: of any metric.
    """

    full_state_update = False
    higher_is_better = True
    ids: list[Tensor]
    said: list[Tensor]

    def __init__(self, score: str, task: QuestionAnswering, rows: Dataset | None, **options: Any):
        super().__init__(**options)
        self.score, self.task = score, task
        self.rows = None if rows is None else rows.select_columns(["id", "of", "text_pair", "answers"])
        self.add_state("ids", default=[], dist_reduce_fx="cat")
        self.add_state("said", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Take predictions `[B, 4]` for rows with these ids."""
        self.ids.append(ids)
        self.said.append(predictions)

    def compute(self) -> Tensor:
        assert self.rows is not None
        ids, said = (torch.cat(state) if isinstance(state, list) else state for state in (self.ids, self.said))
        by_id = dict(zip(ids.tolist(), said.tolist(), strict=True))
        found: list[Any] = []
        true: list[Any] = []
        for number, (windows, answer) in enumerate(self.task.answers(self.rows, by_id)):
            known = windows[0]["answers"] or [""]
            found.append({"id": str(number), "prediction_text": answer})
            true.append({"id": str(number), "answers": {"text": known, "answer_start": [0] * len(known)}})
        return (squad(found, true)[self.score] / 100).to(self.device)


def answers_of(label: str, context: str) -> list[tuple[str, int]]:
    """Text and first character of each known answer, from what a column held.

    Raises:
        UserError: it is nothing of the kind, or an answer does not stand where it is said to.
    """
    try:
        found = json.loads(label)
        if isinstance(found, list):
            found = {key: [answer[key] for answer in found] for key in ("text", "answer_start")}
        texts, starts = found["text"], found["answer_start"]
        answers = [(str(text), int(start)) for text, start in zip(texts, starts, strict=True)]
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise UserError(f"{label!r:.80} is no list of answers with text and answer_start") from error
    for text, start in answers:
        if start < 0 or not text.strip() or context[start : start + len(text)] != text:
            raise UserError(f"the answer {text!r:.60} does not stand at character {start} of its text")
    return [(text.strip(), start + len(text) - len(text.lstrip())) for text, start in answers]


def place(answers: Sequence[tuple[str, int]], words: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """First and last word of the first answer in a window, counted from 1; that of none where it is not all there."""
    for text, start in answers:
        end = start + len(text)
        inside = [number for number, (begins, ends) in enumerate(words, start=1) if begins < end and ends > start]
        if inside and words[0][0] <= start and end <= words[-1][1]:
            return inside[0], inside[-1]
    return NOWHERE

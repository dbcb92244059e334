"""What a run would do, worked out without loading a weight; impossible combinations end here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from datasets import Dataset
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from data.augmentation import augmented
from data.classification import Classification
from data.examples import Examples, prepare
from data.mixture import Mixture, mixed
from data.sources import Columns
from data.task import Task
from data.tokenization import TrainingTexts, sample_lengths
from kd.checks import check_chain, check_lengths, check_start, check_task, check_taught, check_values
from kd.objective import Terms, fitting_terms, required_fields
from kd.schemes.base import STUDENT, TEACHER, Pair, Scheme
from kd.schemes.offline import Alone
from kd.store.estimate import bytes_needed, in_words
from kd.store.store import Settings
from kd.teachers import Candidate, draft_teacher, reseeded
from models.blueprint import Blueprint, Draft
from models.heads import MASKED, SPANS
from models.output import Fields
from potstill.errors import UserError


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a weight is loaded.

    Args:
        examples: the data.
        task: what is done with them.
        teachers: the frozen ones, by name; the run's own is called `teacher`.
        drafts: of all networks that train, by name.
        scheme: who learns from whom.
        pairs: the scheme's pairs.
        terms: knowledge terms of each pair, by the pair's name; not connected yet.
        steps_per_epoch, epochs: length of the distillation.
        store: how teacher outputs are kept.
        max_length: tokens at which a text is cut.
        start_from: a folder with the student's first weights.
        frozen: parts of the student that keep them.
        callbacks: Lightning's, of the distillation, by name.
        notes: decisions that the user should see.
    """

    examples: Examples
    task: Task
    teachers: Mapping[str, Candidate]
    drafts: Mapping[str, Draft]
    scheme: Scheme
    pairs: list[Pair]
    terms: Mapping[str, Terms]
    steps_per_epoch: int
    epochs: int
    store: Settings
    max_length: int
    start_from: str | None
    frozen: list[str]
    callbacks: Mapping[str, Callback]
    notes: list[str]

    @cached_property
    def fields(self) -> dict[str, Fields]:
        """What each network, the teacher among them, has to give, by its name."""
        fields = required_fields(self.pairs, self.terms)
        own = self.scheme.requires({name: draft.spec for name, draft in self.drafts.items()})
        return fields | {name: fields.get(name, frozenset()) | some for name, some in own.items()}

    @property
    def teacher(self) -> Draft | None:
        """The run's own teacher, from which the student may start."""
        return self.teachers[TEACHER].draft if TEACHER in self.teachers else None

    @property
    def rows(self) -> Dataset:
        """What the student is trained on."""
        return rows_of(self.examples, self.scheme, self.terms)

    @property
    def is_baseline(self) -> bool:
        """Whether the student is trained as its baseline would be."""
        return isinstance(self.scheme, Alone) and self.start_from is None and not self.frozen

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The plan for a reader."""
        examples, steps = self.examples, self.steps_per_epoch
        named = "" if self.task.problem in (SPANS, MASKED) else f"; classes {', '.join(examples.labels)}"
        lines = [
            f"data      {len(examples.train):,} labelled and {len(examples.unlabelled):,} unlabelled training rows, "
            f"{len(examples.validation):,} validation, {len(examples.test):,} test{named}"
        ]
        lines += [f"          {note}" for note in examples.notes]
        for name, teacher in self.teachers.items():
            lines += [f"{name:9} {teacher.draft.spec}; {teacher.draft.origin}; {teacher.state}"]
        for name, draft in self.drafts.items():
            start = f"goes on from {self.start_from}" if name == STUDENT and self.start_from else draft.origin
            lines += [f"{name:9} {draft.spec}; {start}"]
        if self.frozen:
            trained = self.drafts[STUDENT].trained(self.frozen)
            lines += [f"frozen    {', '.join(self.frozen)}; {trained / 1e6:.1f} M parameters of the student train"]
        for pair in self.pairs:
            lines += [f"pair      {pair.learner} <- {pair.teacher or 'labels'}: {self._terms_of(pair)}"]
        lines += [f"store     {stored}" for stored in self._stores()]
        rows = len(self.rows)
        lines += [f"training  {rows:,} rows; {self.epochs} epochs of {steps:,} steps: {self.epochs * steps:,} steps"]
        lines += [f"callbacks {', '.join(self.callbacks)}"] if self.callbacks else []
        return lines + [f"note      {note}" for note in self.notes]

    def _stores(self) -> list[str]:
        asked = {name: teacher.draft for name, teacher in self.teachers.items() if name in self.fields}
        if not asked:
            return ["nothing: no term reads a frozen teacher"]
        if not self.store.budget:
            return ["nothing: the teacher runs in every step"]
        named = len(asked) > 1
        return [(f"{name}: " if named else "") + self._stored(name, draft) for name, draft in asked.items()]

    def _stored(self, name: str, teacher: Draft) -> str:
        fields, rows = self.fields[name], len(self.rows)
        some = sample_lengths(self.rows, teacher.tokenizer, self.max_length)
        need = bytes_needed(fields, teacher.spec, some, self.store, self.task.words_per_token) / len(some) * rows
        what = f"{', '.join(map(str, sorted(fields)))} of {rows:,} rows, about {in_words(need)} in {self.store.dtype}"
        over = need > self.store.budget * 1e9
        return what + (f"; more than store.budget={self.store.budget:g} GB: nothing is stored" if over else "")

    def _terms_of(self, pair: Pair) -> str:
        if pair.teacher_spec is None:
            return "label loss"
        described = {}
        for name, term in self.terms[str(pair)].items():
            said = term.describe(pair.learner_spec, pair.teacher_spec), term.moves()
            described[name] = ", ".join(filter(None, said))
        return "; ".join(f"{name} ({text})" if text else name for name, text in described.items()) or "nothing"


def make_plan(config: DictConfig) -> Plan:
    """Work a config out as far as it goes without weights.

    Raises:
        UserError: the config asks for something that cannot be.
    """
    check_values(config)
    kind: Task = instantiate(config.data.task)
    if kind.needs_labels and config.data.label is None:
        raise UserError("data.label: name the column of the labels")
    examples = read_examples(config.data, kind, Path(config.cache_dir))
    task = replace(kind, labels=examples.labels, metric=config.data.metric or "")
    own = draft_teacher(instantiate(config.teacher, _convert_="all"), task, "teacher")
    scheme = make_scheme(config, own)
    teachers = draft_teachers(scheme, own, task)
    drafts = draft_learners(config, scheme, examples, own.draft if own else None, task.problem)
    specs = {name: draft.spec for name, draft in drafts.items()}
    specs |= {name: teacher.draft.spec for name, teacher in teachers.items()}
    check_task(task, examples.train.column_names, scheme, specs)
    pairs = scheme.pairs(specs | {name: specs[of] for name, of in scheme.copies().items()})
    if not config.kd.label_weight:
        check_taught(pairs, teachers)
    for draft in drafts.values():
        check_chain(draft, config.kd.label_weight)
    check_lengths(config.data.max_length, [*drafts.values(), *(teacher.draft for teacher in teachers.values())])
    terms, notes = terms_of(pairs, config)
    notes += filter(None, [task.note(config.data.max_length)])
    drafts[STUDENT].trained(config.optimizer.frozen)
    if config.start_from:
        check_start(config.start_from, drafts[STUDENT])
    elif config.baseline and isinstance(scheme, Alone):
        notes.append("the student learns from labels alone: it is its own baseline")
    steps = steps_per_epoch(config, len(rows_of(examples, scheme, terms)))
    store, epochs = instantiate(config.store), config.trainer.max_epochs
    return Plan(
        examples,
        task,
        teachers,
        drafts,
        scheme,
        pairs,
        terms,
        steps,
        epochs,
        store,
        config.data.max_length,
        config.start_from,
        list(config.optimizer.frozen),
        make_callbacks(config),
        notes,
    )


def read_examples(data: DictConfig, task: Task, cache: Path) -> Examples:
    """The data of a config's part, for a task; several data sets where it has parts of its own.

    Raises:
        UserError: the data are not to be used so.
    """
    if ("parts" in data) != isinstance(task, Mixture):
        raise UserError("data/task: mixture is the task of data=mixture, and of nothing else")
    if "parts" in data:
        if data.get("augmentation"):
            raise UserError(
                "data.augmentation: say data/augmentation@data.parts.NAME.augmentation=… for parts of a mixture"
            )
        return mixed(
            {str(name): read_part(str(name), part, cache) for name, part in data.parts.items()}, data.temperature
        )
    columns = Columns(data.text, data.label if task.needs_labels else None, data.group)
    splits = instantiate(data.source, _convert_="all").read(columns, cache)
    examples = prepare(splits, instantiate(data.split), data.labels, task, data.on_error == "skip")
    how = instantiate(data.get("augmentation"))
    return augmented(examples, replace(task, labels=examples.labels), how) if how else examples


def read_part(name: str, data: DictConfig, cache: Path) -> Examples:
    """One of several data sets.

    Raises:
        UserError: it is none, or of another task than classification.
    """
    if not OmegaConf.is_dict(data):
        raise UserError(f"data.parts.{name}: {data!r} is no data set; say +data@data.parts.{name}={data}")
    task = instantiate(data.task)
    if type(task) is not Classification:
        raise UserError(f"data.parts.{name}: {task.name} cannot be mixed; only data sets of one class a text can")
    try:
        return read_examples(data, task, cache)
    except UserError as error:
        raise UserError(f"data.parts.{name}: {error}") from error


def make_scheme(config: DictConfig, teacher: Candidate | None) -> Scheme:
    """The scheme of the config; where nothing is handed over, the teacher's schemes are plain training.

    Raises:
        UserError: it needs a teacher and there is none.
    """
    scheme: Scheme = instantiate(config.scheme, _convert_="all")
    if not config.kd.terms and scheme.needs_teacher:
        return Alone()
    if scheme.needs_teacher and teacher is None and not scheme.teachers():
        raise UserError(f"teacher=none: kd={'+'.join(config.kd.terms)} with this scheme needs a teacher, or kd=none")
    return scheme


def terms_of(pairs: list[Pair], config: DictConfig) -> tuple[dict[str, Terms], list[str]]:
    """Fresh terms for each pair, by its name, and notes on what was left out."""
    terms, notes = {}, []
    for pair in pairs:
        terms[str(pair)], left_out = fitting_terms(pair, lambda: make_terms(config))
        notes += left_out
    return terms, notes


def make_terms(config: DictConfig) -> Terms:
    """Fresh terms by name.

    Raises:
        UserError: a setting of one of them cannot be.
    """
    terms = {}
    for name, settings in config.kd.terms.items():
        try:
            terms[str(name)] = instantiate(settings, _convert_="all")
        except InstantiationException as error:
            reason = str(error.__cause__ or error).removeprefix("kd.terms: ")
            raise UserError(f"kd.terms.{name}: {' '.join(reason.split())}") from error
    return terms


def make_callbacks(config: DictConfig) -> dict[str, Callback]:
    """Fresh callbacks of the distillation, by name.

    Raises:
        UserError: one of them is none of Lightning's.
    """
    made = instantiate(config.get("callbacks") or {}, _convert_="all")
    for name, callback in made.items():
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name}: {callback!r} is no callback of Lightning; say {{_target_: …}}")
    return made


def rows_of(examples: Examples, scheme: Scheme, terms: Mapping[str, Terms]) -> Dataset:
    """What the student is trained on: rows without label too, where somebody tells of them."""
    return examples.transfer if scheme.takes_unlabelled and any(terms.values()) else examples.train


def steps_per_epoch(config: DictConfig, rows: int) -> int:
    """Updates of the weights in an epoch over so many rows."""
    batches = math.ceil(rows / config.data.batch_size) // ranks_of(config)
    return math.ceil(batches / config.trainer.accumulate_grad_batches)


def ranks_of(config: DictConfig) -> int:
    """How many processes share an epoch, as far as the config tells: `devices=auto` counts as one."""
    devices = config.trainer.devices
    return devices * config.trainer.get("num_nodes", 1) if isinstance(devices, int) and devices > 0 else 1


def draft_teachers(scheme: Scheme, own: Candidate | None, task: Task) -> dict[str, Candidate]:
    """The run's own teacher and those of the scheme."""
    teachers = {TEACHER: own} if own else {}
    for number, (name, settings) in enumerate(scheme.teachers().items(), start=1):
        if settings is None:
            assert own is not None
            teachers[name] = reseeded(own, number)
        elif teacher := draft_teacher(settings, task, name):
            teachers[name] = teacher
        else:
            raise UserError(f"{name}: none is no teacher; leave it out")
    return teachers


def draft_learners(
    config: DictConfig, scheme: Scheme, examples: Examples, teacher: Draft | None, problem: str
) -> dict[str, Draft]:
    """Everything that trains, without weights."""
    student: Blueprint = instantiate(config.student, _convert_="all")
    blueprints = {STUDENT: student} | {name: peer or student for name, peer in scheme.peers().items()}
    corpus = TrainingTexts(examples.transfer, config.data.max_length)
    return {name: blueprint.draft(examples.labels, teacher, corpus, problem) for name, blueprint in blueprints.items()}

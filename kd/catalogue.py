"""All knowledge that `kd=` knows, read from the configs and from the terms that they make: `python -m kd.catalogue`."""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kd.knowledge.base import Knowledge
from kd.probe import why_not
from models.heads import ANY_LABEL, MASKED, NUMBER, ONE_OF_PART, SPANS, TAGS
from models.output import ATTENTION, LOGITS, STATES, Spec

CONF = Path(__file__).parent.parent / "conf"
COLUMNS = ("name", "type", "parts", "reads", "not for", "source")
ARXIV = re.compile(r"\d{4}\.\d{4,5}")
EVERYTHING = frozenset({LOGITS.name}) | STATES | ATTENTION
TEACHER = Spec("bert", (384,) * 7, 12, 22_000_000, 3, "a", "a", EVERYTHING)
STUDENT = replace(TEACHER, widths=(192,) * 4)
LSTM = replace(STUDENT, kind="bilstm", widths=(384, 256, 256), heads=None, provides=EVERYTHING - ATTENTION)
OTHERS = {  # what not every term works with
    "two layers of LSTM": (LSTM, TEACHER),
    "other heads": (replace(STUDENT, heads=3), TEACHER),
    "one layer": (replace(STUDENT, widths=(192,) * 2), TEACHER),
    "two classes": (replace(STUDENT, classes=2), replace(TEACHER, classes=2)),
    "other tokenizers": (replace(STUDENT, tokenizer="b", segmentation="b"), TEACHER),
    "several labels": (replace(STUDENT, problem=ANY_LABEL), replace(TEACHER, problem=ANY_LABEL)),
    "several tasks": (
        replace(STUDENT, problem=ONE_OF_PART, classes=6),
        replace(TEACHER, problem=ONE_OF_PART, classes=6),
    ),
    "numbers": (replace(STUDENT, problem=NUMBER, classes=1), replace(TEACHER, problem=NUMBER, classes=1)),
    "answers": (replace(STUDENT, problem=SPANS, classes=2), replace(TEACHER, problem=SPANS, classes=2)),
    "masked words": (replace(STUDENT, problem=MASKED, classes=99), replace(TEACHER, problem=MASKED, classes=99)),
    "tags": (replace(STUDENT, problem=TAGS), replace(TEACHER, problem=TAGS)),
}


@dataclass(frozen=True)
class Entry:
    """A term as one of the choices makes it.

    Args:
        choice: name of the file in `conf/kd`.
        comment: its first line.
        config: of the term.
        term: made of it.
    """

    choice: str
    comment: str
    config: DictConfig
    term: Knowledge

    @property
    def type(self) -> str:
        """Response, feature or relation: what kind of thing is compared."""
        module = type(self.term).__module__.rsplit(".", 1)[-1]
        return module if module in ("response", "feature") else "relation"

    @property
    def parts(self) -> str:
        """The class and the parts it is made of."""
        return ", ".join([type(self.term).__name__, *_parts(OmegaConf.to_container(self.config))])

    @property
    def reads(self) -> str:
        """Which tensors."""
        ours, theirs = self.term.requires(STUDENT, TEACHER)
        return ", ".join(sorted({field.name for field in ours | theirs}))

    @property
    def not_for(self) -> str:
        """What it is refused with; two transformers of three classes with one tokenizer and as many heads suit all."""
        return ", ".join(what for what, specs in OTHERS.items() if why_not(self.term, *specs) is not None)

    @property
    def source(self) -> str:
        """The papers' arXiv ids, or what the comment says in brackets."""
        named = re.search(r"\(([^()]*\d{4})\)", self.comment)
        if named and not ARXIV.search(named[1]):
            return named[1]
        return ", ".join(dict.fromkeys(ARXIV.findall(self.comment) or ARXIV.findall(type(self.term).__doc__ or "")))

    @property
    def row(self) -> tuple[str, ...]:
        """What the catalogue says of it."""
        return self.choice, self.type, self.parts, self.reads, self.not_for, self.source


def entries() -> Iterator[Entry]:
    """Every choice that is one term, in the order of the names."""
    for path in sorted((CONF / "kd").glob("*.yaml")):
        config = cast(DictConfig, OmegaConf.load(path))
        terms = list((config.get("terms") or {}).values())
        if "defaults" not in config and len(terms) == 1:
            comment = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            yield Entry(path.stem, comment, terms[0], instantiate(terms[0], _convert_="all"))


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as Markdown, under the names of the columns."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the catalogue, or one type of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("type", nargs="?", choices=("response", "feature", "relation"), help="only these")
    wanted = parser.parse_args(arguments).type
    print(table([entry.row for entry in entries() if wanted in (None, entry.type)]))


def _parts(value: Any) -> Iterator[str]:
    """The last names of all `_target_`s below the term's own, schedules left out."""
    for key, part in value.items():
        if isinstance(part, dict) and "_target_" in part and key not in ("weight", "temperature"):
            yield part["_target_"].rsplit(".", 1)[-1]


if __name__ == "__main__":
    main()

"""From raw results to a page and a plot: `python -m bench.table [FOLDER]` writes them into `bench/`."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench.run import FAILURES, MACHINE, RESULTS, ROOT, SIDES, read

HERE = Path(__file__).parent
Line = dict[str, Any]
Cell = tuple[str, str, str]
NAMES = {
    "potstill_store": "Potstill, store",
    "potstill_live": "Potstill, live teacher",
    "potstill_labels": "Potstill, labels alone",
    "bare": "bare loop, labels alone",
    "textbrewer": "TextBrewer",
    "textbrewer_cached": "TextBrewer, cached logits",
    "torchdistill": "torchdistill",
    "hugging_face_padded": "Trainer, padded to 128",
    "hugging_face_dynamic": "Trainer, dynamic padding",
    "hugging_face_grouped": "Trainer, grouped by length",
}
OURS, PLAIN = "potstill_store", "potstill_labels"
PARTS = (1, 3)  # epochs of which a longer run tells as well
TEACHERS = {"minilm": "MiniLM, 6 layers of width 384", "large": "BERT, 12 layers of width 768, random weights"}
TERMS = {"response": "response", "features": "response, hidden states, and attention where the student has it"}
NOTES = """\
- Seconds are those of training: the teacher's part is in them, whether in every step or beforehand, and so is the
  writing of checkpoints where the framework does not leave it out; imports, loading, tokenisation and evaluation are
  not. Each side is a process of its own; the sides of a row run one after another, again and again; a ratio is the
  median of the ratios within a repetition.
- All sides start from the same first weights, of student and teacher, and see every row once an epoch, 32 rows an
  update, AdamW in one pass, linear schedule with warm-up, gradients clipped, float32. Loss: cross-entropy with the
  labels + T² KL(teacher || student) [+ mean squared difference of hidden states over real tokens, and of attention
  scores before softmax over real pairs of tokens, summed over pairs of layers]. The BiLSTM has no attention; its
  hidden states are projected.
- Teacher and students know only those pieces of the teacher's vocabulary that the sample's training texts use, so that
  no side's optimizer sweeps rows of an embedding table that nobody reads. Potstill does so by itself for LSTM students;
  here all sides have it.
- Both teachers teach students of width 384: those of the small one start from its layers and embeddings, the 2-layer
  BERT of the large one from random weights.
- Figures for 1 and 3 epochs are those of the first epochs of a longer run, unless such a run was made.
- The first loss is each side's own, on the same 32 longest training rows, without dropout: equal where the formulas
  are. TextBrewer's is higher by T² times the teacher's entropy, since it takes the cross-entropy with the soft
  targets, whose gradient is the same; where states are projected, its projection begins with other random weights,
  and its gradient is not clipped.
- Batches: Potstill groups rows by length, and the bare loop takes the very same batches; TextBrewer and torchdistill
  shuffle, padded to the longest of a batch; the Trainer both ways, and padded to 128 as its tutorials do. Dropout and
  order differ between sides, and so do last losses and scores, by as much as between seeds.
- Potstill's store keeps what the teacher says as float16; each run begins with an empty one. Potstill writes a
  checkpoint to go on from every 250 updates, its default; TextBrewer writes the student's weights once at the end,
  the fewest it can; the Trainer, torchdistill and the bare loop write none. "Checkpoints aside" takes that time off
  both sides.
- Settings of the peers: TextBrewer without tensorboard log; besides its GeneralDistiller its BasicDistiller with
  `is_caching_logits`, which exists for logits alone and goes on with the batches of the first pass. Trainer: no
  evaluation, no checkpoints, no reports, fused AdamW. torchdistill: DistillationBox as in its text classification
  example; hidden states and attention as losses registered with it.
- Attention scores come from a function registered with transformers' AttentionInterface, which computes them in the
  layers compared and leaves all others to SDPA, on all sides.
- torchdistill imports torchvision, whose wheels on PyPI do not run with a CPU build of torch; where it is missing,
  the names that are read on import are stood in for. TextBrewer and torchdistill otherwise run unchanged."""


def total(line: Line) -> float:
    """Seconds of training and of asking the teacher beforehand."""
    return line["store_seconds"] + sum(line["epoch_seconds"])


def later(line: Line) -> float:
    """Mean seconds of the epochs after the first; none is asked for where there is but one."""
    return mean(line["epoch_seconds"][1:])


def total_aside(line: Line) -> float:
    """As `total`, without the writing of checkpoints."""
    return total(line) - line["checkpoint_seconds"]


def later_aside(line: Line) -> float:
    """As `later`, without the writing of checkpoints."""
    return later(line) - line["checkpoint_seconds"] / line["epochs"]


@dataclass(frozen=True)
class Ratio:
    """A column of a table of ratios.

    Args:
        title: of the column.
        side, of: what is divided by what.
        measure: seconds of each.
        least: epochs that it needs.
    """

    title: str
    side: str
    of: str
    measure: Callable[[Line], float] = total
    least: int = 1


OWN_RATIOS = (
    Ratio("store / plain, from epoch 2", OURS, PLAIN, later, least=2),
    Ratio("checkpoints aside", OURS, PLAIN, later_aside, least=2),
    Ratio("plain / bare loop", PLAIN, "bare"),
    Ratio("checkpoints aside", PLAIN, "bare", total_aside),
    Ratio("live teacher / store", "potstill_live", OURS),
)
PEER_RATIOS = tuple(
    Ratio(name, side, OURS) for side, name in NAMES.items() if not side.startswith("potstill") and side != "bare"
)


class Results:
    """What all sides took.

    Args:
        lines: as `bench.run` writes them.
    """

    def __init__(self, lines: Iterable[Line]):
        self.lines = {(cell_of(line), line["epochs"], line["side"], line["repetition"]): line for line in lines}

    @property
    def cells(self) -> list[Cell]:
        """Teacher, student and terms, in the order in which they were run."""
        return list(dict.fromkeys(cell for cell, *_ in self.lines))

    @property
    def epochs(self) -> list[int]:
        """All numbers of epochs."""
        return sorted({epochs for _, epochs, *_ in self.lines})

    def of(self, cell: Cell, epochs: int, side: str) -> list[Line]:
        """All repetitions."""
        return [line for key, line in self.lines.items() if key[:3] == (cell, epochs, side)]

    def seconds(self, cell: Cell, epochs: int, side: str) -> float | None:
        """Median of all seconds of training."""
        return middle(map(total, self.of(cell, epochs, side)))

    def ratio(self, cell: Cell, epochs: int, ratio: Ratio) -> float | None:
        """Median of the ratios within a repetition."""
        if epochs < ratio.least:
            return None
        take = ratio.measure
        above, below = (self._by_repetition(cell, epochs, side) for side in (ratio.side, ratio.of))
        return middle(take(above[number]) / take(below[number]) for number in above if number in below)

    def _by_repetition(self, cell: Cell, epochs: int, side: str) -> dict[int, Line]:
        return {line["repetition"]: line for line in self.of(cell, epochs, side)}


def with_parts(lines: Iterable[Line]) -> list[Line]:
    """The lines, before them what their first epochs took; a run of just so many epochs counts instead."""
    lines = list(lines)
    parts = [
        line
        | {"epochs": epochs, "epoch_seconds": line["epoch_seconds"][:epochs]}
        | {"checkpoint_seconds": line["checkpoint_seconds"] * epochs / line["epochs"]}
        for line in lines
        for epochs in PARTS
        if epochs < line["epochs"]
    ]
    return parts + lines


def cell_of(line: Line) -> Cell:
    """Teacher, student and terms."""
    return line["teacher"], line["student"], line["terms"]


def middle(values: Iterable[float]) -> float | None:
    """The median, where there are values."""
    found = list(values)
    return median(found) if found else None


def number(value: float | None, digits: int = 2) -> str:
    """A figure of a table."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A markdown table whose first columns are texts and whose others are figures."""
    line = [" --- " if place < texts else " ---: " for place in range(len(header))]
    return "\n".join([f"| {' | '.join(header)} |", f"|{'|'.join(line)}|", *(f"| {' | '.join(row)} |" for row in rows)])


def cell_name(cell: Cell) -> str:
    """In words."""
    teacher, student, terms = cell
    return f"{student} ← {teacher}, {terms}"


def ratios(results: Results, columns: Sequence[Ratio]) -> str:
    """A table of ratios: a row a cell and number of epochs."""
    header = ["", "epochs", *(ratio.title for ratio in columns)]
    rows = [
        [cell_name(cell), str(epochs), *(number(results.ratio(cell, epochs, ratio)) for ratio in columns)]
        for cell in results.cells
        for epochs in results.epochs
    ]
    return table(header, rows)


def seconds(results: Results, cell: Cell) -> str:
    """Seconds of a cell: a row a side."""
    header = ["", *(f"epochs: {epochs}" for epochs in results.epochs), "beforehand", "checkpoints, an epoch"]
    rows = []
    for side, name in NAMES.items():
        totals = [results.seconds(cell, epochs, side) for epochs in results.epochs]
        lines = [line for epochs in results.epochs for line in results.of(cell, epochs, side)]
        if lines:
            before = middle(line["store_seconds"] for line in lines)
            checkpoints = middle(line["checkpoint_seconds"] / line["epochs"] for line in lines)
            rows.append([name, *(number(value, 1) for value in totals), number(before, 1), number(checkpoints)])
    return table(header, rows)


def sameness(results: Results, cell: Cell) -> str:
    """Losses and scores of a cell, at the largest number of epochs that a side has run."""
    header = ["", "epochs", "updates", "first loss", "last loss", "test loss", "from teacher", "accuracy"]
    rows = []
    for side, name in NAMES.items():
        run = [epochs for epochs in results.epochs if results.of(cell, epochs, side)]
        if run:
            lines = results.of(cell, run[-1], side)
            updates = "/".join(sorted({str(line["updates"]) for line in lines}))
            own = [number(middle(line[key] for line in lines), 4) for key in ("first_loss", "last_loss")]
            test = [middle(line["end"][key] for line in lines) for key in ("cross_entropy", "soft_targets")]
            accuracy = middle(100 * line["end"]["accuracy"] for line in lines)
            figures = [*own, *(number(value, 4) for value in test), number(accuracy, 1) + "%"]
            rows.append([name, str(run[-1]), updates, *figures])
    return table(header, rows)


def left_out(results: Results) -> list[str]:
    """What was not run, a line a side and cell."""
    lines = []
    for cell in results.cells:
        for side, name in NAMES.items():
            missing = [epochs for epochs in results.epochs if not results.of(cell, epochs, side)]
            if missing and cell[2] in SIDES[side].terms:
                lines.append(f"- {name}, {cell_name(cell)}: {', '.join(map(str, missing))} epochs")
    return lines


def setting(lines: Sequence[Line], machine: Line, work: Line) -> str:
    """Machine, versions and work."""
    versions: dict[str, set[str]] = {}
    for line in lines:
        for name, version in line["versions"].items():
            versions.setdefault(name, set()).add(version)
    stated = ", ".join(f"{name} {'/'.join(sorted(found))}" for name, found in sorted(versions.items()))
    counts = Counter((*cell_of(line), line["epochs"], line["side"]) for line in lines).values()
    repetitions = "-".join(map(str, sorted({min(counts), max(counts)})))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['threads']} threads, "
        f"{machine['system']}, Python {machine['python']}; {stated}.\n\n"
        f"{work['rows']:,} training rows and {work['test_rows']:,} test rows of the sample data, "
        f"{work['batch_size']} rows an update, T = {work['temperature']:g}; medians of {repetitions} repetitions."
    )


def page(lines: Sequence[Line], failures: Sequence[Line], machine: Line, work: Line) -> str:
    """The whole page."""
    results = Results(with_parts(lines))
    names = dict.fromkeys(teacher for teacher, *_ in results.cells)
    teachers = [f"- `{name}`: {TEACHERS.get(name, 'a folder of its own')}" for name in names]
    parts = ["# Results of the bench", setting(lines, machine, work), "\n".join(teachers), "![Seconds](results.png)"]
    parts += ["## Potstill beside itself and a bare loop", "Ratios of seconds.", ratios(results, OWN_RATIOS)]
    parts += ["## Peers", "Their seconds, divided by those of Potstill with a store.", ratios(results, PEER_RATIOS)]
    for cell in results.cells:
        parts += [f"## {cell_name(cell)}", f"Terms: {TERMS[cell[2]]}. Seconds:", seconds(results, cell)]
        parts += ["Losses and scores:", sameness(results, cell)]
    if missing := left_out(results):
        parts += ["## Not run", "\n".join(missing)]
    finished = {(*cell_of(line), line["epochs"], line["side"], line["repetition"]) for line in lines}
    open_ = {(*cell_of(line), line["epochs"], line["side"], line["repetition"]) for line in failures} - finished
    if open_:
        parts += ["## Failed", "\n".join(f"- {' '.join(map(str, one))}" for one in sorted(open_))]
    return "\n\n".join(part for part in [*parts, "## Notes", NOTES] if part) + "\n"


def main() -> None:
    """Write page and plot."""
    from bench.plot import draw  # matplotlib is not needed for the page

    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "outputs/bench", metavar="FOLDER")
    folder: Path = parser.parse_args().folder
    if not (folder / RESULTS).is_file():
        parser.error(f"{folder}: no results here; make them with python -m bench.run")
    lines = read(folder / RESULTS)
    machine, work = (json.loads((folder / name).read_text()) for name in (MACHINE, "work/work.json"))
    (HERE / "RESULTS.md").write_text(page(lines, read(folder / FAILURES), machine, work), encoding="utf-8")
    draw(Results(with_parts(lines)), NAMES, HERE / "results.png")


if __name__ == "__main__":
    main()

"""What each piece of knowledge is worth: `python -m bench.knowledge [--help]`.

Every choice of `kd=` is tried beside `response`, or in its place where it is about logits, on each set of data and with
each student. All get the same effort: three factors of its weight with the first seed, the best in validation again
with the other seeds. Interrupted, it goes on where it was. Afterwards it prints a table.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, product
from pathlib import Path
from statistics import mean, stdev
from typing import Any, cast

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from bench.run import ROOT, append, read
from data.module import Batches
from data.tokenization import sample_lengths
from deploy.evaluate import scored
from kd.assembly import Assembly
from kd.plan import Plan, make_plan
from kd.store.estimate import bytes_needed
from models.network import Network
from potstill.errors import UserError
from train import quiet

RESULTS = "knowledge.jsonl"
FACTORS = (0.3, 1.0, 3.0)
ALONE = "response"
Line = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One distillation."""

    data: str
    student: str
    kd: str
    factor: float
    seed: int


def in_its_place(kd: str) -> bool:
    """Whether a choice is about the logits, as `response` is."""
    config = cast(DictConfig, OmegaConf.load(ROOT / "conf" / "kd" / f"{kd}.yaml"))
    terms = config.get("terms") or {}
    return all("knowledge.response." in term.get("_target_", "") for term in terms.values()) and bool(terms)


def configured(trial: Trial, overrides: Sequence[str], folder: Path) -> DictConfig:
    """The trial's config, its weights multiplied."""
    kd = trial.kd if in_its_place(trial.kd) else f"[{ALONE},{trial.kd}]"
    settings = [f"kd={kd}", f"student={trial.student}", f"seed={trial.seed}", f"run_dir={folder}", "logger=[]"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", [*settings, "baseline=false", "trainer.enable_progress_bar=false", *overrides])
    for name, term in config.kd.terms.items():
        if name != ALONE or trial.kd == ALONE:
            multiply(term, trial.factor)
    return config


def multiply(term: DictConfig, factor: float) -> None:
    """Change a term's weight, or both ends of its schedule."""
    place, keys = (term.weight, ("start", "end")) if OmegaConf.is_dict(term.weight) else (term, ("weight",))
    for key in keys:
        place[key] = factor * place[key]


def run(trial: Trial, overrides: Sequence[str], folder: Path) -> Line:
    """What came of a trial, or why there is none."""
    config = configured(trial, overrides, folder)
    try:
        plan = make_plan(config)
    except UserError as error:
        return {"refused": str(error)}
    assembly = Assembly(config, plan, folder, [])
    student, fitted, _ = assembly.distil(assembly.teachers()[0])
    scores = {split: score(student, plan, config, split) for split in ("validation", "test")}
    return scores | {"seconds": fitted.seconds / fitted.updates, "bytes": bytes_a_row(plan)}


def score(network: Network, plan: Plan, config: DictConfig, split: str) -> float:
    """The task's score on a split."""
    rows, size = getattr(plan.examples, split), config.data.eval_batch_size
    batches = Batches(rows, rows, [network.tokenizer], config.data.max_length, size, size, task=plan.task)
    return scored(network, batches.val_dataloader(), rows, plan.task)[0][plan.task.metric]


def bytes_a_row(plan: Plan) -> float:
    """What the store keeps of a row."""
    assert plan.teacher is not None
    lengths = sample_lengths(plan.rows, plan.teacher.tokenizer, plan.max_length)
    return bytes_needed(plan.fields["teacher"], plan.teacher.spec, lengths, plan.store) / len(lengths)


def trials(options: argparse.Namespace, done: dict[Trial, Line]) -> Iterator[Trial]:
    """All trials in their order; those of further seeds follow from those of the first."""
    first, *others = options.seeds
    for data, student, kd in product(dict(options.set), options.students, options.kd):
        tried = [Trial(data, student, kd, factor, first) for factor in FACTORS]
        for trial in tried:
            yield trial
            if "refused" in done[trial]:
                break
        else:
            best = max(tried, key=lambda trial: done[trial]["validation"])
            yield from (Trial(data, student, kd, best.factor, seed) for seed in others)


def table(done: dict[Trial, Line]) -> str:
    """Gain over response alone, in points; seconds an update against it; bytes a row."""
    best: dict[tuple[str, str, str], list[tuple[Trial, Line]]] = {}
    good = [(trial, line) for trial, line in done.items() if "refused" not in line]
    for key, group in groupby(sorted(good, key=cell), key=cell):
        pairs = list(group)
        factor = max(pairs, key=lambda pair: (sum(p.factor == pair[0].factor for p, _ in pairs), pair[1]["validation"]))
        best[key] = [pair for pair in pairs if pair[0].factor == factor[0].factor]
    header = ["data", "student", "kd", "factor", "score", "gain", "time", "kB a row"]
    lines = [header, ["---"] * 3 + ["---:"] * 5]
    for (data, student, kd), pairs in best.items():
        alone = best.get((data, student, ALONE))
        scores = [100 * line["test"] for _, line in pairs]
        row = [data, student, kd, f"{pairs[0][0].factor:g}", spread(scores)]
        if alone and len(alone) == len(pairs):
            ours, theirs = (sorted(some, key=lambda pair: pair[0].seed) for some in (pairs, alone))
            gains = [100 * (a["test"] - b["test"]) for (_, a), (_, b) in zip(ours, theirs, strict=True)]
            cost = mean(line["seconds"] for _, line in pairs) / mean(line["seconds"] for _, line in alone)
            row += [spread(gains, "+"), f"{cost:.2f}"]
        else:
            row += ["", ""]
        lines.append([*row, f"{pairs[0][1]['bytes'] / 1000:.2g}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(result: tuple[Trial, Line]) -> tuple[str, str, str]:
    """What a row of the table is about."""
    return result[0].data, result[0].student, result[0].kd


def spread(values: Sequence[float], sign: str = "") -> str:
    """Mean and standard deviation."""
    return f"{mean(values):{sign}.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Those on the command line."""
    names = sorted(path.stem for path in (ROOT / "conf" / "kd").glob("*.yaml") if path.stem != "none")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, default=ROOT / "outputs" / "knowledge", help="where results go")
    add("--set", nargs=2, action="append", metavar=("NAME", "OVERRIDES"), help="data: a name, and train.py's overrides")
    add("--students", nargs="+", default=["bilstm", "bert_small"])
    add("--kd", nargs="+", default=[ALONE, *(name for name in names if name != ALONE)])
    add("--seeds", nargs="+", type=int, default=[1, 2, 3])
    add("--table", action="store_true", help="print the table of what there is, run nothing")
    options = parser.parse_args(arguments)
    options.set = options.set or [("sample", "trainer.max_epochs=2")]
    return options


def main() -> None:
    """Run what has not been run, then print the table."""
    options = read_options()
    quiet()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / RESULTS
    done = {Trial(**line.pop("trial")): line for line in read(path)}
    if not options.table:
        for trial in trials(options, done):
            if trial in done:
                continue
            with tempfile.TemporaryDirectory() as folder:
                done[trial] = run(trial, shlex.split(dict(options.set)[trial.data]), Path(folder))
            append(path, {"trial": asdict(trial)} | done[trial])
            print(trial, done[trial], file=sys.stderr, flush=True)
    print(table(done))


if __name__ == "__main__":
    main()

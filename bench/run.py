"""Runs all sides in turns and keeps what each took: `python -m bench.run [--help]`.

A run that was interrupted goes on where it was when it is started again with the same folder. Afterwards
`python -m bench.table` writes `bench/RESULTS.md` and `bench/results.png`.
"""

import argparse
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS, FAILURES, MACHINE = "results.jsonl", "failures.jsonl", "machine.json"


@dataclass(frozen=True)
class Side:
    """How a side is run.

    Args:
        module: in `bench.sides`.
        mode: which of its ways.
        peer: whether it runs in the peers' environment.
        terms: which it can do.
    """

    module: str
    mode: str
    peer: bool = True
    terms: tuple[str, ...] = ("response", "features")


SIDES = {
    "potstill_store": Side("potstill", "store", peer=False),
    "potstill_live": Side("potstill", "live", peer=False),
    "potstill_labels": Side("potstill", "labels", peer=False),
    "bare": Side("bare", "labels", peer=False),
    "textbrewer": Side("textbrewer_side", "general"),
    "textbrewer_cached": Side("textbrewer_side", "cached", terms=("response",)),
    "hugging_face_padded": Side("hugging_face", "padded"),
    "hugging_face_dynamic": Side("hugging_face", "dynamic"),
    "hugging_face_grouped": Side("hugging_face", "grouped"),
    "torchdistill": Side("torchdistill_side", "live"),
}


@dataclass(frozen=True)
class Job:
    """One process of one side."""

    teacher: str
    student: str
    terms: str
    epochs: int
    side: str
    repetition: int

    @property
    def name(self) -> str:
        """What `--skip` is matched with."""
        return f"{self.side}/{self.teacher}/{self.student}/{self.terms}/{self.epochs}"


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """All jobs in their order: in each repetition, the sides of a cell follow one another."""
    cells = list(itertools.product(options.teachers, options.students, options.terms, options.epochs))
    for repetition in range(1, options.repetitions + 1):
        for teacher, student, terms, epochs in cells:
            for side in options.sides:
                job = Job(Path(teacher).name, student, terms, epochs, side, repetition)
                if terms in SIDES[side].terms and not any(fnmatchcase(job.name, skip) for skip in options.skip):
                    yield job


def done(folder: Path) -> set[Job]:
    """The jobs whose results are there already."""
    return {Job(**{name: line[name] for name in Job.__annotations__}) for line in read(folder / RESULTS)}


def read(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of lines; a last line that was cut off by an interruption does not count."""
    lines = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def append(path: Path, line: dict[str, Any]) -> None:
    """Add an object, on a line of its own even behind one that was cut off."""
    broken = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if broken else "") + json.dumps(line) + "\n")


def run(job: Job, options: argparse.Namespace) -> bool:
    """Run a job and keep its result, or why there is none."""
    side, scratch = SIDES[job.side], options.folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    result = scratch / "result.json"
    python = options.peer_python if side.peer else options.python
    given = {name: getattr(job, name) for name in ("teacher", "student", "terms", "epochs")}
    given |= {"work": options.folder / "work", "mode": side.mode, "result": result, "scratch": scratch}
    command = [str(python), "-W", "ignore", "-m", f"bench.sides.{side.module}"]
    command += [word for name, value in given.items() for word in (f"--{name}", str(value))]
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = os.environ | threads | {"PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    started = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    took = {"process_seconds": time.monotonic() - started}
    if ended.returncode or not result.exists():
        append(options.folder / FAILURES, asdict(job) | took | {"error": ended.stderr[-4000:]})
        return False
    append(options.folder / RESULTS, asdict(job) | json.loads(result.read_text()) | took)
    shutil.rmtree(scratch)
    return True


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on beside the versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Those on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=ROOT / "outputs/bench",
        help="where work and results go",
    )
    add("--cache", type=lambda text: Path(text).resolve(), default=ROOT / "cache", help="Potstill's, for the teacher")
    add("--python", type=Path, default=Path(sys.executable), help="of Potstill and the bare loop")
    add("--peer-python", type=Path, default=ROOT / ".venv-bench/bin/python", help="of the peers")
    add("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    add("--teachers", nargs="+", default=["minilm", "large"], help="minilm, large, or folders")
    add("--students", nargs="+", default=["bert_small", "bilstm"])
    add("--terms", nargs="+", choices=("response", "features"), default=["response", "features"])
    add("--epochs", nargs="+", type=int, default=[10], help="a run tells of its first epochs too")
    add("--repetitions", type=int, default=3)
    add("--rows", type=int, default=1000, help="training rows")
    add("--test-rows", type=int, default=500)
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add(
        "--skip",
        nargs="*",
        default=[],
        metavar="PATTERN",
        help="leave out, as SIDE/TEACHER/STUDENT/TERMS/EPOCHS with *",
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Make the work where it is missing, then run what has not been run."""
    options = read_options()
    from bench import work  # heavy, and not needed for --help

    settings = work.Settings(rows=options.rows, test_rows=options.test_rows, seed=options.seed)
    work.make(options.folder / "work", settings, options.teachers, options.cache)
    (options.folder / MACHINE).write_text(json.dumps(machine(options.threads)))
    finished, failures = done(options.folder), 0
    waiting = [job for job in jobs(options) if job not in finished]
    for number, job in enumerate(waiting, start=1):
        print(f"{number}/{len(waiting)} {job.name}, repetition {job.repetition}", end=" ", flush=True)
        good = run(job, options)
        failures += not good
        print("" if good else "FAILED", flush=True)
    if failures:
        print(f"{failures} failed; see {FAILURES} in {options.folder}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

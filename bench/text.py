"""What memory a run over one large text file takes: `python -m bench.text outputs/text --gigabytes 2`.

Makes a text file of that size and a tiny teacher of masked words, and distils over it: reading, joining to blocks,
tokenizing, masking, and some steps of training. Writes `text.json` and `text.png` there: memory against time.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from matplotlib.figure import Figure
from transformers import BertForMaskedLM

from bench.scale import WORDS, memory, write_teacher

STEPS = 200
Sample = dict[str, float]


def write_text(path: Path, size: float, seed: int) -> Path:
    """A file of so many bytes, a text a line; kept where it is there."""
    if path.exists():
        return path
    draw, written = random.Random(seed), 0
    with path.open("w") as file:
        while written < size:
            written += file.write(" ".join(draw.choices(WORDS, k=draw.randint(5, 40))) + "\n")
    return path


def command(folder: Path, gigabytes: float) -> list[str]:
    """The run: store=off, since answers about a vocabulary would fill the disk; the validation rows are few."""
    files = {"train": gigabytes * 1e9, "validation": 1e5, "test": 1e5}
    paths = {split: write_text(folder / f"{split}.txt", size, seed) for seed, (split, size) in enumerate(files.items())}
    return [
        *(sys.executable, "train.py", "data=files", "data/task=masked_lm", "store=off", "baseline=false"),
        *(f"data.{split}={path}" for split, path in paths.items()),
        *("teacher=local", f"teacher.path={write_teacher(folder / 'teacher', BertForMaskedLM)}", "student=bert_small"),
        *("student.num_hidden_layers=1", f"+trainer.max_steps={STEPS}", "trainer.enable_progress_bar=false"),
        *(f"cache_dir={folder / 'cache'}", f"hydra.run.dir={folder / 'run'}"),
    ]


def watch(line: list[str]) -> list[Sample]:
    """Run a command; each second its time and its megabytes, of its own and of mapped files."""
    start, samples = time.monotonic(), []
    process = subprocess.Popen(line)
    while process.poll() is None:
        if found := memory(process.pid):
            megabytes = {name: kilobytes / 1000 for name, kilobytes in found.items()}
            samples.append({"seconds": time.monotonic() - start, **megabytes})
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(line)}")
    return samples


def draw_memory(samples: list[Sample], path: Path) -> None:
    """Own memory, and pages of mapped files, which the system takes back when it needs them, against time."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, label in (("RssAnon", "own"), ("RssFile", "mapped files, given back at need")):
        axes.plot([sample["seconds"] / 60 for sample in samples], [sample[name] for sample in samples], label=label)
    axes.set(xlabel="minutes", ylabel="MB resident", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Parse the command line, run, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.text", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    samples = watch(command(folder, arguments.gigabytes))
    (folder / "text.json").write_text(json.dumps(samples))
    draw_memory(samples, folder / "text.png")
    print(f"most of its own: {max(sample['RssAnon'] for sample in samples):.0f} MB; {samples[-1]['seconds']:.0f} s")


if __name__ == "__main__":
    main()

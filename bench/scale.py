"""What a run costs as its transfer set grows: memory, start-up, and the store's filling a row.

`python -m bench.scale outputs/scale` makes synthetic short texts and a tiny teacher, runs `train.py` twice for each
size, and writes `scale.json`, `scale.md` and `scale.png` there.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from transformers import BertConfig, BertForSequenceClassification, BertPreTrainedModel

from models.words import word_tokenizer
from reports.tables import table

SIZES = (10_000, 100_000, 1_000_000)
WORDS = [f"w{number}" for number in range(3000)]
STEPS = 300


def texts(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Distinct short texts, and labels that follow from them."""
    draw = random.Random(seed)
    for number in range(count):
        words = draw.choices(WORDS, k=draw.randint(3, 12))
        yield f"{' '.join(words)} {seed}-{number}", "odd" if int(words[0][1:]) % 2 else "even"


def write_texts(path: Path, count: int, seed: int) -> Path:
    """A csv file of such texts; kept where it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *texts(count, seed)])
    return path


def write_teacher(path: Path, kind: type[BertPreTrainedModel] = BertForSequenceClassification) -> Path:
    """A BERT of random weights, so small that the filling shows what the store itself costs."""
    tokenizer = word_tokenizer([*WORDS, "0123456789-"], len(WORDS))
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 32}
    names = {"id2label": {0: "even", 1: "odd"}, "label2id": {"even": 0, "odd": 1}}
    config = BertConfig.from_dict({"vocab_size": len(tokenizer), **sizes, **names})
    kind(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def run(folder: Path, rows: int, name: str) -> dict[str, Any]:
    """One run of `train.py` over so many unlabelled texts: seconds to the first step, peak memory, filling."""
    counts = {"train": 1000, "validation": 500, "test": 500, "unlabelled": rows}
    files = {
        split: write_texts(folder / f"{split}-{count}.csv", count, seed)
        for seed, (split, count) in enumerate(counts.items())
    }
    teacher = folder / "teacher"
    overrides = [
        "data=files",
        *(f"data.{split}={path}" for split, path in files.items()),
        "teacher=local",
        f"teacher.path={teacher if teacher.exists() else write_teacher(teacher)}",
        "student=bilstm",
        "student.hidden_size=32",
        "kd=[response,relation]",
        "baseline=false",
        f"+trainer.max_steps={STEPS}",
        "trainer.enable_progress_bar=false",
        f"cache_dir={folder / f'cache-{rows}'}",
        f"hydra.run.dir={folder / f'{name}-{rows}-{time.time_ns()}'}",
    ]
    measured = watched([sys.executable, "train.py", *overrides])
    report = json.loads((Path(overrides[-1].partition("=")[2]) / "report.json").read_text())
    return {"rows": rows, "run": name, **measured, "store_seconds": report["store_seconds"]}


def watched(command: list[str]) -> dict[str, float]:
    """Runs a command; seconds until it says that the store is ready, and the greatest memory of its own and mapped."""
    start, peak, ready = time.monotonic(), {"RssAnon": 0, "RssFile": 0, "steady": 0}, [0.0]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def watch() -> None:
        while process.poll() is None:
            for name, kilobytes in memory(process.pid).items():
                peak[name] = max(peak[name], kilobytes)
                if name == "RssAnon" and ready[0]:
                    peak["steady"] = max(peak["steady"], kilobytes)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.stdout is not None
    for line in process.stdout:
        if "all rows found" in line:
            ready[0] = time.monotonic() - start
    watcher.join()
    if process.wait():
        raise SystemExit(f"failed: {' '.join(command)}")
    return {
        "startup_seconds": ready[0],
        "peak_megabytes": peak["RssAnon"] / 1000,
        "training_megabytes": peak["steady"] / 1000,
        "mapped_megabytes": peak["RssFile"] / 1000,
    }


def memory(process: int) -> dict[str, int]:
    """Resident kilobytes of a process: its own, and pages of files."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))}


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Memory in training and seconds to the first step against the number of examples."""
    second = [result for result in results if result["run"] == "second"]
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    for axes, key, label in zip(
        figure.subplots(1, 2),
        ("training_megabytes", "startup_seconds"),
        ("MB of own memory in training", "seconds to the first step"),
        strict=True,
    ):
        axes.plot([result["rows"] for result in second], [result[key] for result in second], marker="o")
        axes.set(xscale="log", xlabel="examples", ylabel=label, ylim=(0, None))
    figure.savefig(path, dpi=150)


def as_markdown(results: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    header = ["run", "examples", "s to first step", "MB in training", "MB at most", "µs a row to fill"]
    rows = []
    for result in results:
        filling = f"{result['store_seconds'] / result['rows'] * 1e6:.0f}" if result["run"] == "first" else ""
        startup = f"{result['startup_seconds']:.1f}" if result["startup_seconds"] else ""
        sizes = [f"{result[key]:.0f}" if result[key] else "" for key in ("training_megabytes", "peak_megabytes")]
        rows.append([result["run"], f"{result['rows']:,}", startup, *sizes, filling])
    return "\n".join(table(header, rows)) + "\n"


def main() -> None:
    """Parse the command line, run, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    results = []
    for rows in arguments.sizes:
        for name in ("first", "second"):
            results.append(run(arguments.folder.resolve(), rows, name))
            print(results[-1], flush=True)
    (arguments.folder / "scale.json").write_text(json.dumps(results, indent=2))
    (arguments.folder / "scale.md").write_text(as_markdown(results))
    draw(results, arguments.folder / "scale.png")
    print(as_markdown(results))


if __name__ == "__main__":
    main()

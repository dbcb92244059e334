import pytest

from bench import table
from bench.plot import draw
from bench.table import Ratio, Results

MACHINE = {"cpu": "a CPU", "cores": 2, "memory_gb": 8, "threads": 2, "system": "Linux", "python": "3.11"}
WORK = {"rows": 1000, "test_rows": 500, "batch_size": 32, "temperature": 2.0}


def line(side: str, repetition: int, seconds: list[float], store: float = 0.0, **more: object) -> dict:
    test = {"cross_entropy": 0.5, "soft_targets": 0.25, "accuracy": 0.75}
    return {
        "teacher": "minilm",
        "student": "bilstm",
        "terms": "response",
        "epochs": len(seconds),
        "side": side,
        "repetition": repetition,
        "epoch_seconds": seconds,
        "store_seconds": store,
        "checkpoint_seconds": 0.5,
        "updates": 96,
        "first_loss": 1.0,
        "last_loss": 0.5,
        "start": test,
        "end": test,
        "versions": {"torch": "2.13.0"},
    } | more


CELL = ("minilm", "bilstm", "response")
LINES = [
    line("potstill_store", 1, [4.0, 2.0, 2.0], store=2.0),  # 10
    line("potstill_store", 2, [3.0, 3.0, 3.0], store=1.0),  # 10
    line("potstill_store", 3, [5.0, 5.0, 5.0], store=5.0),  # 20
    line("potstill_labels", 1, [9.0, 1.0, 1.0]),
    line("potstill_labels", 2, [9.0, 2.0, 4.0]),
    line("potstill_labels", 3, [9.0, 4.0, 4.0]),
    line("textbrewer", 1, [10.0, 10.0, 10.0]),
    line("textbrewer", 3, [10.0, 10.0, 20.0]),
]


def test_seconds_are_a_median_of_all_that_training_takes():
    results = Results(LINES)
    assert results.seconds(CELL, 3, "potstill_store") == 10
    assert results.seconds(CELL, 3, "potstill_labels") == 15
    assert results.seconds(CELL, 1, "potstill_store") is None


def test_ratios_are_taken_within_a_repetition():
    results = Results(LINES)
    assert results.ratio(CELL, 3, Ratio("", "textbrewer", "potstill_store")) == 2.5  # 30 / 10 and 40 / 20
    assert results.ratio(CELL, 3, Ratio("", "torchdistill", "potstill_store")) is None


def test_a_ratio_of_later_epochs_leaves_the_first_out():
    results = Results([*LINES, line("potstill_store", 1, [1.0]), line("potstill_labels", 1, [1.0])])
    ratio = table.OWN_RATIOS[0]
    assert results.ratio(CELL, 3, ratio) == 1.25  # of 2 / 1, 3 / 3 and 5 / 4
    assert results.ratio(CELL, 1, ratio) is None


def test_checkpoints_can_be_left_aside():
    one = line("potstill_store", 1, [4.0, 2.0], store=1.0, checkpoint_seconds=1.0)
    results = Results([one, line("potstill_labels", 1, [4.0, 2.0], checkpoint_seconds=2.0)])
    assert results.ratio(CELL, 2, table.OWN_RATIOS[1]) == 1.5  # 2 - 1 / 2 over 2 - 2 / 2
    assert table.total_aside(one) == 6


def test_a_long_run_tells_of_its_first_epochs_unless_they_were_run_by_themselves():
    long, short = line("bare", 1, [4.0, 2.0, 2.0], store=1.0), line("bare", 2, [9.0])
    results = Results(table.with_parts([long, short]))
    assert results.seconds(CELL, 3, "bare") == 9
    assert sorted(map(table.total, results.of(CELL, 1, "bare"))) == [5, 9]
    results = Results(table.with_parts([long, line("bare", 1, [7.0])]))
    assert results.seconds(CELL, 1, "bare") == 7


def test_the_page_says_what_was_not_run_and_what_failed():
    failures = [line("torchdistill", 1, [1.0, 1.0, 1.0]), line("textbrewer", 1, [1.0, 1.0, 1.0])]
    page = table.page(LINES, failures, MACHINE, WORK)
    assert "- torchdistill, bilstm ← minilm, response: 1, 3 epochs" in page
    assert "- TextBrewer, bilstm" not in page
    assert "minilm bilstm response 3 torchdistill 1" in page
    assert "response 3 textbrewer" not in page  # it went through in the end
    assert "| Potstill, store | 6.0 | 10.0 | 2.0 | 0.17 |" in page
    assert "| TextBrewer | 3 | 96 | 1.0000 | 0.5000 | 0.5000 | 0.2500 | 75.0% |" in page


@pytest.mark.parametrize("cells", [1, 3])
def test_the_plot_has_a_panel_a_cell(tmp_path, cells):
    lines = [one | {"student": f"student{number}"} for number in range(cells) for one in LINES]
    draw(Results(lines), table.NAMES, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000

import datetime
import math

import pytest
from scipy.stats import t, ttest_1samp

from reports.groups import FIGURES, Spread, grouped
from reports.runs import read_runs


def groups(folder):
    return grouped(read_runs([folder]))


def test_seeds_are_averaged(tmp_path, make_run):
    for seed, (score, baseline) in enumerate([(0.6, 0.5), (0.7, 0.55), (0.8, 0.6)], start=1):
        make_run(tmp_path / str(seed), ["student=bilstm", f"seed={seed}"], score, baseline)
    (group,) = groups(tmp_path)
    score = group.spread(FIGURES["score"])
    assert (round(score.mean, 9), round(score.deviation, 9), score.count) == (0.7, 0.1, 3)
    assert group.seeds == ["1", "2", "3"]
    assert group.name == "student=bilstm"


def test_the_gain_is_paired_by_run(tmp_path, make_run):
    scores, baselines = [0.6, 0.7, 0.8], [0.5, 0.62, 0.69]
    for seed in range(3):
        make_run(tmp_path / str(seed), [f"seed={seed}"], scores[seed], baselines[seed])
    (group,) = groups(tmp_path)
    gains = [score - baseline for score, baseline in zip(scores, baselines, strict=True)]
    interval = ttest_1samp(gains, 0).confidence_interval(0.95)
    assert group.spread(FIGURES["gain"]).interval == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6)
    (group,) = groups(tmp_path)
    assert (group.spread(FIGURES["gain"]).deviation, group.spread(FIGURES["gain"]).interval) == (None, None)


def test_the_interval_of_two_seeds_is_wide():
    low, high = Spread(1.0, 1.0, 2).interval
    assert high - low == pytest.approx(2 * t.ppf(0.975, 1) / math.sqrt(2))


def test_a_repeated_seed_makes_nothing_more_certain(tmp_path, make_run):
    for number, (seed, score) in enumerate([(1, 0.6), (1, 0.6), (2, 0.7)]):
        make_run(tmp_path / str(number), [f"seed={seed}"], score)
    (group,) = groups(tmp_path)
    assert len(group.runs) == 3
    assert group.spread(FIGURES["score"]).count == 2
    assert group.spread(FIGURES["score"]).mean == pytest.approx(0.65)


def test_what_was_not_measured_has_no_spread(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6, baseline=None, speedup=None)
    (group,) = groups(tmp_path)
    assert [group.spread(FIGURES[name]) for name in ("gain", "baseline", "speedup_1")] == [None] * 3


def test_a_run_belongs_to_a_group_by_its_config_not_by_the_words(tmp_path, make_run):
    make_run(tmp_path / "0", ["seed=1", "student=bilstm"], 0.6)
    make_run(tmp_path / "1", ["student=bilstm", "seed=2", "cache_dir=c"], 0.7)
    make_run(tmp_path / "2", ["student=cnn_lstm", "seed=1"], 0.7)
    assert [len(group.runs) for group in groups(tmp_path)] == [2, 1]


@pytest.mark.parametrize(
    ("word", "config", "count"),
    [
        ("quiet=true", {"quiet": True}, 1),
        ("callbacks=[pruning]", {"callbacks": {"pruning": {"study": "a"}}}, 1),
        ("+callbacks.swa={}", {"callbacks": {"swa": {"_target_": "lightning.StochasticWeightAveraging"}}}, 2),
        ("+day=2024-01-01", {"day": datetime.date(2024, 1, 1)}, 2),
    ],
)
def test_what_can_change_scores_makes_another_group(tmp_path, make_run, word, config, count):
    make_run(tmp_path / "0", ["seed=1"], 0.6)
    make_run(tmp_path / "1", ["seed=2", word], 0.6, config=config)
    assert len(groups(tmp_path)) == count


def test_figures_of_fewer_seeds_than_runs_say_of_how_many(tmp_path, make_run):
    for number, (seed, baseline) in enumerate([(1, 0.5), (1, 0.5), (2, 0.55), (3, None)]):
        make_run(tmp_path / str(number), [f"seed={seed}"], 0.6, baseline)
    (group,) = groups(tmp_path)
    assert group.in_words("score", 100, 1) == "60.0 ± 0.0 (n=3)"
    assert group.in_words("gain", 100, 1) == "7.5 ± 3.5 (n=2)"


def test_reports_alone_tell_seeds_by_their_overrides(tmp_path, make_run):
    for number in range(2):
        folder = make_run(tmp_path / str(number), ["seed=1"], 0.6)
        for name in ("config.yaml", "overrides.yaml", "choices.yaml"):
            (folder / name).unlink()
    (group,) = groups(tmp_path)
    assert group.spread(FIGURES["gain"]).interval is None


def test_other_data_or_another_metric_are_other_groups(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6)
    make_run(tmp_path / "1", [], 0.6, metric="f1")
    assert len(groups(tmp_path)) == 2


def test_only_runs_that_have_ended_are_grouped(tmp_path, make_run):
    make_run(tmp_path / "0", [])
    assert groups(tmp_path) == []

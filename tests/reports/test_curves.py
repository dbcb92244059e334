from reports.curves import curves, last_step

HEADER = "epoch,step,train/loss,val/accuracy\n"


def test_figures_by_step(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "0,24,0.7123456,\n0,49,0.6,\n0,49,,0.55\n")
    assert curves(tmp_path, 10) == {"train/loss": ([(24, 0.7123), (49, 0.6)], 2), "val/accuracy": ([(49, 0.55)], 1)}


def test_what_was_before_an_interruption_comes_first(tmp_path):
    (tmp_path / "metrics-1.csv").write_text(HEADER + "0,1,0.9,\n0,2,0.8,\n")
    (tmp_path / "metrics-2.csv").write_text(HEADER + "0,2,0.7,\n0,3,0.6,\n")
    (tmp_path / "metrics.csv").write_text(HEADER + "0,4,0.5,\n")
    assert curves(tmp_path, 10)["train/loss"].points == [(1, 0.9), (2, 0.7), (3, 0.6), (4, 0.5)]


def test_a_file_that_is_cut_off_or_strange_keeps_what_can_be_read(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "0,1,0.9,\n0,2,nan,\n0,x,0.5,\n0,3,inf,0.4\n0,4,0.")
    assert curves(tmp_path, 10) == {"train/loss": ([(1, 0.9), (4, 0.0)], 2), "val/accuracy": ([(3, 0.4)], 1)}


def test_long_curves_are_thinned_out_between_their_ends_and_extremes(tmp_path):
    values = dict.fromkeys(range(1000), 0.5) | {17: 0.9, 702: 0.1}
    (tmp_path / "metrics.csv").write_text(HEADER + "".join(f"0,{step},{value},\n" for step, value in values.items()))
    curve = curves(tmp_path, 11)["train/loss"]
    assert (len(curve.points), curve.total) == (11, 1000)
    assert curve.points == sorted(curve.points)
    assert {(0, 0.5), (17, 0.9), (702, 0.1), (999, 0.5)} < set(curve.points)


def test_curves_are_read_again_when_the_file_has_changed(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(HEADER + "0,1,0.9,\n")
    assert curves(tmp_path, 10) is curves(tmp_path, 10)
    path.write_text(HEADER + "0,1,0.9,\n0,2,0.8,\n")
    assert curves(tmp_path, 10)["train/loss"].total == 2


def test_the_last_step_is_that_of_the_part_that_came_last(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,lr-A/pg1,baseline/train/loss,train/loss\n10,,,1\n999,,,.5\n19,,.4,\n24,1e-3,,\n"
    )
    assert last_step(tmp_path) == "baseline, step 20"


def test_a_run_without_metrics_has_no_curves(tmp_path):
    assert curves(tmp_path, 10) == {}

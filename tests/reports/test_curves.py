from reports.curves import curves

HEADER = "epoch,step,train/loss,val/accuracy\n"


def test_figures_by_step(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "0,24,0.7123456,\n0,49,0.6,\n0,49,,0.55\n")
    assert curves(tmp_path, 10) == {"train/loss": [(24, 0.7123), (49, 0.6)], "val/accuracy": [(49, 0.55)]}


def test_what_was_before_an_interruption_comes_first(tmp_path):
    (tmp_path / "metrics-1.csv").write_text(HEADER + "0,1,0.9,\n0,2,0.8,\n")
    (tmp_path / "metrics-2.csv").write_text(HEADER + "0,2,0.7,\n0,3,0.6,\n")
    (tmp_path / "metrics.csv").write_text(HEADER + "0,4,0.5,\n")
    assert curves(tmp_path, 10)["train/loss"] == [(1, 0.9), (2, 0.7), (3, 0.6), (4, 0.5)]


def test_a_file_that_is_cut_off_or_strange_keeps_what_can_be_read(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "0,1,0.9,\n0,2,nan,\n0,x,0.5,\n0,3,inf,0.4\n0,4,0.")
    assert curves(tmp_path, 10) == {"train/loss": [(1, 0.9), (4, 0.0)], "val/accuracy": [(3, 0.4)]}


def test_long_curves_are_thinned_out_between_their_ends(tmp_path):
    (tmp_path / "metrics.csv").write_text(HEADER + "".join(f"0,{step},{step},\n" for step in range(1000)))
    steps = [step for step, _ in curves(tmp_path, 11)["train/loss"]]
    assert (len(steps), steps[0], steps[-1]) == (11, 0, 999)
    assert steps == sorted(set(steps))


def test_a_run_without_metrics_has_no_curves(tmp_path):
    assert curves(tmp_path, 10) == {}

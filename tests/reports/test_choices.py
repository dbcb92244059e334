import pytest

from reports.choices import choices, comparison_names, measured_on, said
from reports.runs import read


def test_what_the_run_folder_names(tmp_path, make_run):
    overrides = ["student=cnn_lstm", "kd=[response,relation]", "seed=2", "data.batch_size=16", "run_dir=x", "logger=[]"]
    chosen = choices(read(make_run(tmp_path / "0", overrides)))
    assert chosen == {
        "student": "cnn_lstm",
        "scheme": "offline",
        "kd": "response + relation",
        "teacher": "minilm",
        "data": "films",
        "experiment": "none",
        "optimizer": "adamw",
        "data.batch_size": "32",  # what the config holds
    }


def test_without_names_a_choice_that_nobody_made_is_the_default(tmp_path, make_run):
    run = read(make_run(tmp_path / "0", ["student=cnn_lstm"]))
    (run.folder / "choices.yaml").unlink()
    chosen = choices(read(run.folder))
    assert (chosen["student"], chosen["scheme"], chosen["kd"]) == ("cnn_lstm", "default", "response")


def test_without_names_an_experiment_may_have_made_the_choice(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["experiment=sample"])
    (folder / "choices.yaml").unlink()
    assert choices(read(folder))["student"] == "in sample"


def test_seed_and_places_are_no_choices(tmp_path, make_run):
    words = ["seed=1", "hydra.sweep.dir=x", "launcher=joblib", "cache_dir=c", "trainer.enable_progress_bar=false"]
    assert said(read(make_run(tmp_path / "0", [*words, "+student@scheme.peers.a=bilstm"]))) == {
        "student@scheme.peers.a": "bilstm"
    }


def data(**changes):
    rows = {"source": {"path": "films"}, "test": None, "train": "a.csv", "batch_size": 32, "max_length": 128}
    return {"data": rows | changes}


def test_other_test_rows_or_metrics_are_not_compared(tmp_path, make_run):
    first = read(make_run(tmp_path / "0", [], 0.6, config=data()))
    same = read(make_run(tmp_path / "1", [], 0.6, config=data(batch_size=8, max_length=64)))
    cut_off = read(make_run(tmp_path / "2", [], 0.6, config=data(train="b.csv")))
    metric = read(make_run(tmp_path / "3", [], 0.6, config=data(), metric="f1"))
    assert measured_on(first) == measured_on(same)
    assert len({measured_on(run) for run in (first, cut_off, metric)}) == 3


def test_other_training_rows_are_compared_where_the_test_rows_are_the_same(tmp_path, make_run):
    first = read(make_run(tmp_path / "0", [], 0.6, config=data(test="t.csv")))
    other = read(make_run(tmp_path / "1", [], 0.6, config=data(test="t.csv", train="b.csv", unlabelled="u.csv")))
    assert measured_on(first) == measured_on(other)


@pytest.mark.parametrize(
    ("changes", "compared"),
    [({"batch_size": 8}, True), ({"train": "b.csv"}, False), ({"train": "b.csv", "test": "t.csv"}, True)],
)
def test_parts_of_a_mixture_are_as_data_of_their_own(tmp_path, make_run, changes, compared):
    plain = {"train": "a.csv", "test": changes.get("test"), "batch_size": 32}
    mixtures = [{"data": {"parts": {"films": plain | more}}} for more in ({}, changes)]
    runs = [read(make_run(tmp_path / str(n), [], 0.6, config=config)) for n, config in enumerate(mixtures)]
    assert (measured_on(runs[0]) == measured_on(runs[1])) == compared


def test_names_tell_what_can_be_compared(tmp_path, make_run):
    runs = [
        read(make_run(tmp_path / "0", [], 0.6, config=data(test="a.csv"))),
        read(make_run(tmp_path / "1", [], 0.6, config=data(test="b.csv", labels="k"))),
        read(make_run(tmp_path / "2", [], 0.6, config=data(test="b.csv", labels="l"))),
        read(make_run(tmp_path / "3", [], 0.6, config=data(test="b.csv", labels="l"), split="validation")),
        read(make_run(tmp_path / "4", ["data=other"], 0.6)),
    ]
    names = comparison_names(runs)
    assert [names[measured_on(run)] for run in runs] == [
        "films, accuracy (test=a.csv)",
        "films, accuracy (labels=k)",
        "films, accuracy (labels=l, split=test)",
        "films, accuracy (labels=l, split=validation)",
        "other, accuracy",
    ]

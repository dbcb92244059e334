import pytest

from kd.stages import stage_of
from kd.trackers.lineage import lineage
from kd.trackers.runs import figures_of, group_of, keep, name_of, tracked


@pytest.mark.parametrize(
    ("place", "name", "group", "stage"),
    [
        ("alone", "alone", None, None),
        ("sweep/0", "sweep/0", "sweep", None),
        ("sweep/kd=response/1", "sweep/kd=response/1", "sweep", None),
        ("staged", "staged", "staged", "last"),
        ("staged/stages/first", "staged/first", "staged", "first"),
        ("sweep/2/stages/first", "sweep/2/first", "sweep", "first"),
    ],
)
def test_a_run_is_called_by_where_it_is(place, name, group, stage, tmp_path, configure):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "sweep").mkdir(exist_ok=True)
    (tmp_path / "sweep" / "multirun.yaml").touch()
    (tmp_path / "staged" / "stages").mkdir(parents=True, exist_ok=True)
    stages = ["+stages.first=[]", "+stages.last=[]"] if stage == "last" else []
    config = configure(f"run_dir='{tmp_path}/{place}'", "logger=[wandb,mlflow]", *stages)
    assert (name_of(config.run_dir), group_of(config.run_dir)) == (name, group)
    assert (config.logger.wandb.name, config.logger.wandb.group) == (name, group)
    assert (config.logger.mlflow.run_name, config.logger.mlflow.tags.group) == (name, group)
    assert stage_of(config) == stage


def test_a_run_finds_its_own_again(tmp_path, configure):
    config = configure("logger=[wandb,mlflow]", f"run_dir={tmp_path}")
    assert (config.logger.wandb.id, config.logger.mlflow.run_id) == (None, None)
    keep(str(tmp_path), {"wandb": "abc"})
    keep(str(tmp_path), {"mlflow": "def"})
    keep(str(tmp_path), {})
    assert tracked(str(tmp_path)) == {"wandb": "abc", "mlflow": "def"}
    assert (config.logger.wandb.id, config.logger.mlflow.run_id) == ("abc", "def")


@pytest.mark.parametrize("content", [b'{"wandb": "ab', b"\xff", b"[1]"])
def test_a_damaged_file_ends_no_run(content, tmp_path):
    (tmp_path / "trackers.json").write_bytes(content)
    (tmp_path / "about.json").write_bytes(content)
    assert tracked(str(tmp_path)) == {}
    assert lineage({}, str(tmp_path)) == {"start_from": {"weights": str(tmp_path)}}
    keep(str(tmp_path), {"wandb": "abc"})
    assert tracked(str(tmp_path)) == {"wandb": "abc"}


def test_a_file_that_cannot_be_written_is_told_of_once_and_stays(tmp_path, caplog):
    keep(str(tmp_path), {"wandb": "abc"})
    (tmp_path / "trackers.unfinished").mkdir()
    keep(str(tmp_path), {"wandb": "def"})
    assert tracked(str(tmp_path)) == {"wandb": "abc"}
    (record,) = caplog.records
    assert "trackers.json cannot be written" in record.getMessage()


def test_the_figures_of_a_report_are_its_numbers():
    report = {
        "task": "classification",
        "student": {"score": 0.5, "latency_ms": {"1": 2.0}},
        "teacher": None,
        "updates": 3,
    }
    expected = {"report/student/score": 0.5, "report/student/latency_ms/1": 2.0, "report/updates": 3}
    assert figures_of(report) == expected

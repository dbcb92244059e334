import pytest
from omegaconf import OmegaConf

from kd.run_folder import held, made, refuse_taken, resumed, save_config
from potstill.errors import UserError


def test_a_folder_is_held_by_one(tmp_path):
    folder = tmp_path / "run"
    with held(folder), pytest.raises(UserError, match="another process works in"), held(folder):
        raise AssertionError
    assert not folder.exists()
    with held(folder):
        (folder / "notes.txt").touch()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("place", "reason"), [("file", "File exists"), ("file/below", "Not a directory")])
def test_a_folder_that_cannot_be_is_named(place, reason, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"{place} cannot be made: {reason}"):
        made(tmp_path / place)


class TestRefuseTaken:
    def test_a_run_is_not_begun_where_one_is(self, configure, tmp_path):
        config = configure()
        save_config(tmp_path, config, [])
        with pytest.raises(UserError, match=f"holds a run already; go on with resume={tmp_path}"):
            refuse_taken(tmp_path, config)
        config.resume = str(tmp_path)
        refuse_taken(tmp_path, config)

    @pytest.mark.parametrize("name", ["report.json", "student", "predictions.csv"])
    def test_nor_over_what_it_would_write(self, name, configure, tmp_path):
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=f"run_dir: {tmp_path} holds {name} of something else"):
            refuse_taken(tmp_path, configure())

    def test_other_files_are_let_be(self, configure, tmp_path):
        (tmp_path / "notes.txt").touch()
        refuse_taken(tmp_path, configure())


class TestResumed:
    @pytest.fixture
    def config(self, configure, tmp_path):
        config = configure(f"run_dir={tmp_path}")
        save_config(tmp_path, config, ["seed=3"])
        config.resume = str(tmp_path)
        return config

    def test_a_run_has_its_config_and_its_overrides(self, config, tmp_path):
        saved, overrides = resumed(config, [f"resume={tmp_path}"])
        assert overrides == ["seed=3"]
        assert saved.resume == saved.run_dir == str(tmp_path)
        assert OmegaConf.to_container(saved.data, resolve=False) == OmegaConf.to_container(config.data, resolve=False)

    @pytest.mark.parametrize("damage", ["a: [", "a: b: c", "\0"])
    @pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml"])
    def test_a_damaged_file_is_named(self, name, damage, config, tmp_path):
        (tmp_path / name).write_text(damage)
        with pytest.raises(UserError, match=f"resume: {tmp_path}/{name} cannot be read: "):
            resumed(config, [])

    def test_so_are_an_empty_and_a_missing_one(self, config, tmp_path):
        (tmp_path / "overrides.yaml").unlink()
        with pytest.raises(UserError, match=f"resume: {tmp_path}/overrides.yaml cannot be read: "):
            resumed(config, [])
        (tmp_path / "config.yaml").write_text("")
        with pytest.raises(UserError, match=f"resume: {tmp_path}/config.yaml is empty"):
            resumed(config, [])

import pytest
import torch

from kd.store import files


def test_a_file_is_named_by_its_content(tmp_path):
    path = files.write(tmp_path / "new", {"x": torch.arange(3)}, {"shape": "[3]"})
    again = files.write(tmp_path, {"x": torch.arange(3)}, {"shape": "[3]"})
    other = files.write(tmp_path, {"x": torch.arange(4)}, {"shape": "[3]"})
    assert path.name == again.name != other.name
    assert files.is_whole(path)
    tensors, metadata = files.read(path)
    assert tensors["x"].tolist() == [0, 1, 2]
    assert metadata == {"shape": "[3]"}


@pytest.mark.parametrize("place", [0, 9, -1])
def test_any_changed_byte_shows(tmp_path, place):
    path = files.write(tmp_path, {"x": torch.arange(3)}, {})
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert not files.is_whole(path)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_to_disk", fail)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path, {"x": torch.arange(3)}, {})
    assert list(tmp_path.iterdir()) == []


def test_tensors_are_mapped_and_not_read(tmp_path):
    """A page of a large file is all that a single number costs."""
    path = files.write(tmp_path, {"x": torch.zeros(10_000_000)}, {})
    before = resident()
    x = files.read(path)[0]["x"]
    assert x[5_000_000] == 0
    assert resident() - before < 4_000_000


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

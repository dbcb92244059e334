"""What a run learns from, and where that comes from."""

from collections.abc import Mapping
from pathlib import Path

from kd.once import ABOUT
from kd.trackers.runs import entries, tracked
from models.network import Network


def lineage(teachers: Mapping[str, Network], start_from: str | None) -> dict[str, dict[str, str]]:
    """Of each teacher, and of the first weights where they are given: where they lie, and which run made them.

    `weights` is a folder or a Hub id, `fingerprint` that of the weights, `run` a run folder; beside it stands what
    trackers call that run.
    """
    found = {
        name: {**_origin(str(network.model.name_or_path)), "fingerprint": network.fingerprint()}
        for name, network in teachers.items()
    }
    return found | ({"start_from": _origin(start_from)} if start_from else {})


def _origin(weights: str) -> dict[str, str]:
    run = _run_of(Path(weights))
    return {"weights": weights} | ({"run": run, **tracked(run)} if run else {})


def _run_of(folder: Path) -> str | None:
    """The run that fine-tuned what is in a folder of the cache, or whose student it is."""
    if (folder / ABOUT).is_file():
        return entries(folder / ABOUT).get("run")
    return str(folder.parent) if (folder.parent / "report.json").is_file() else None

"""Networks that many runs share: made once, kept in the cache."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kd import ranks
from models.network import Network

log = logging.getLogger(__name__)

About = dict[str, Any]
ABOUT = "about.json"


def made_once(folder: Path, what: str, make: Callable[[], tuple[Network, About]]) -> About | None:
    """Make a network and save it in a folder, unless it is there.

    Two runs that ask at the same time wait for one of them to do it; the ranks of one run do it together.

    Args:
        folder: where it is kept.
        what: it is, for the log.
        make: gives the network, and what to write about it.

    Returns:
        What was written about it; None where it was found.
    """
    with ranks.locked(folder.with_suffix(".lock"), f"{what}: another run is making {folder}"):
        if ranks.from_first((folder / "config.json").exists()):
            log.info("%s: found in %s", what, folder)
            return None
        network, about = make()
        if ranks.is_first():
            _keep(network, about, folder)
        ranks.wait_for_all()
        return about


def _keep(network: Network, about: About, folder: Path) -> None:
    unfinished = folder.with_suffix(".new")
    network.save(unfinished)
    (unfinished / ABOUT).write_text(json.dumps(about))
    unfinished.rename(folder)

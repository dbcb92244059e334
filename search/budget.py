"""What a student may cost, and what a candidate would, measured before it is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from deploy.evaluate import cost
from kd.plan import Plan, make_plan
from kd.schemes.base import STUDENT
from kd.stages import compose_stages, planned
from potstill import fingerprint
from potstill.errors import UserError

Cost = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """Bounds that a student has to keep.

    Args:
        latency_ms: milliseconds of one text, batch 1, on this machine's CPU; None: any.
        size_mb: 10^6 bytes of weights; None: any.
    """

    latency_ms: float | None
    size_mb: float | None

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if limit is not None and (isinstance(limit, bool | str) or not limit > 0):
                raise UserError(f"budget.{name}: {limit!r} is not a number above 0")

    def excess(self, cost: Cost) -> dict[str, float]:
        """How far over each bound, as a share of it; not above 0 where it is kept."""
        limits = {"latency_ms": self.latency_ms, "megabytes": self.size_mb}
        return {name: cost[name] / limit - 1 for name, limit in limits.items() if limit is not None}

    def __str__(self) -> str:
        bounds = {f"{self.latency_ms} ms": self.latency_ms, f"{self.size_mb} MB": self.size_mb}
        return " and ".join(said for said, limit in bounds.items() if limit is not None) or "no bound"


class Costs:
    """Measures candidates; those of one architecture are measured once."""

    def __init__(self) -> None:
        self._known: dict[str, Cost] = {}

    def cost(self, config: DictConfig, overrides: Sequence[str]) -> Cost:
        """`latency_ms`, `megabytes` and `parameters` of the student of a run.

        Raises:
            UserError: the run cannot be.
        """
        plan = _last_plan(config, overrides)
        draft = plan.drafts[STUDENT]
        key = fingerprint.of_value([draft.config.to_dict(), plan.examples.fingerprint, plan.max_length])
        if key not in self._known:
            self._known[key] = cost(draft.untrained(), plan.examples.test, plan.task, plan.max_length)
        return self._known[key]


def _last_plan(config: DictConfig, overrides: Sequence[str]) -> Plan:
    if not config.stages:
        return make_plan(config)
    *_, (_, plan, _) = planned(compose_stages(config, overrides, Path(config.run_dir)))
    return plan

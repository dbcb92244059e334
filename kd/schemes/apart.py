"""Students in runs of their own that learn from one another through a shared folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from kd import ranks
from kd.moment import Moment
from kd.schemes.base import CLASSES, STUDENT, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.codistillation import OTHERS, check_exchange
from kd.schemes.group import check_names, mean_of_probabilities, saying
from models.network import Network
from models.output import ModelOutput, Spec
from potstill.errors import UserError


class CodistillationApart(Scheme):
    """As `Codistillation`, each network in a run of its own, on another machine or other data if need be.

    Paper: Anil et al., "Large scale distributed neural network training through online distillation", 2018,
    arXiv 1804.03235, which exchanges checkpoints through a file system as well. Every run writes its student's
    weights now and then, reads those of the others that are there, and waits for nobody. Who has not been heard yet
    does not teach; all students are of one architecture.

    Args:
        folder: shared by all runs.
        name: of this run's student.
        others: the names in the other runs.
        interval: updates from one exchange to the next.
        burn_in: share of the training before the first exchange.
    """

    suits = CLASSES

    def __init__(self, folder: str, name: str, others: Sequence[str], interval: int = 50, burn_in: float = 0.1):
        super().__init__()
        if isinstance(others, str) or not others or name in others:
            raise UserError(f"scheme.others: {others!r} must be a list of students of other runs, not {name!r}")
        check_names("scheme.name", [name])
        check_names("scheme.others", others)
        check_exchange(interval, burn_in)
        self.folder, self.name, self.others = Path(folder), name, tuple(others)
        self.interval, self.burn_in = interval, burn_in
        self._heard: list[str] = []

    def copies(self) -> Mapping[str, str]:
        return dict.fromkeys(self.others, STUDENT)

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = specs[STUDENT]
        if len(self.others) == 1:
            return [Pair(STUDENT, student, self.others[0], student)]
        return [Pair(STUDENT, student, OTHERS, logits_only(student, OTHERS), sources=self.others)]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student = step.run(STUDENT)
        for pair in pairs:
            yield Lesson(pair, student, self._said(student, step))

    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        since = moment.update - int(self.burn_in * moment.updates)
        if since < 0 or since % self.interval:
            return
        if ranks.is_first():
            self._write(networks[STUDENT])
        for name in self.others:
            if (path := self._path(name)).is_file():
                self._read(path, copies[name])
                self._heard = sorted({*self._heard, name})

    def get_extra_state(self) -> dict[str, Any]:
        return {"heard": self._heard}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._heard = list(state["heard"])

    def _said(self, student: ModelOutput, step: Step) -> ModelOutput | None:
        said = [step.run(name) for name in self._heard]
        if len(said) < 2:
            return said[0] if said else None
        return saying(mean_of_probabilities([output.logits for output in said]), student, said)

    def _write(self, network: Network) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._path(self.name).with_suffix(".unfinished")
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, unfinished)
        unfinished.replace(self._path(self.name))

    def _read(self, path: Path, network: Network) -> None:
        try:
            network.load_state_dict(load_file(path))
        except RuntimeError as error:
            raise UserError(f"scheme.folder: {path} has weights of another architecture than the student") from error

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

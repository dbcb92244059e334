"""What a frozen teacher says of a batch: asked now, or read from the store."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from kd.store import top
from kd.store.store import Store
from models.heads import OF_POSITIONS
from models.network import Network, what_about
from models.output import LOGITS, Field, Fields, ModelOutput, Spec

Batch = Mapping[str, Any]
STORED = "stored"  # the entry of a batch for what was read from stores, by the teacher's name


class LiveTeacher(nn.Module):
    """A frozen network that is asked anew for each batch: always in evaluation mode, never with gradient.

    It moves to the batch's device when it is first asked, so that a teacher whose answers are all
    stored takes no room there.
    """

    def __init__(self, network: Network, fields: Fields):
        super().__init__()
        self.network, self.fields = network.eval().requires_grad_(False), fields
        network.record(fields)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, batch: Batch) -> ModelOutput:
        encodings = batch["encodings"]
        device = encodings[self.network.spec.tokenizer]["attention_mask"].device
        if next(self.network.parameters()).device != device:
            self.network.to(device)
        with torch.no_grad():
            return self.network(encodings, self.fields)


class StoredTeacher:
    """Reads from the batch what was stored; asks the live teacher where the batch brings nothing.

    Args:
        name: of the teacher.
        live: the teacher.
    """

    def __init__(self, name: str, live: LiveTeacher):
        self.name, self.live = name, live

    def __call__(self, batch: Batch) -> ModelOutput:
        stored = batch.get(STORED, {}).get(self.name)
        if stored is None:
            return self.live(batch)
        spec = self.live.network.spec
        encoding = batch["encodings"][spec.tokenizer]
        tensors = {
            Field.parse(name): top.restore(kept, spec.classes) if isinstance(kept, top.Largest) else kept
            for name, kept in stored.items()
        }
        return ModelOutput.of(tensors, encoding["attention_mask"].bool(), **what_about(spec.problem, encoding))


class Reader:
    """Reads what a store holds of a batch; part of the data's loading, in whichever process that is.

    Args:
        store: of the teacher.
        fields: to read.
        spec: of the teacher.
    """

    def __init__(self, store: Store, fields: Fields, spec: Spec):
        self.store, self.fields, self.spec = store, fields, spec

    def __call__(self, batch: Batch) -> dict[str, Tensor | top.Largest]:
        ids, encoding = batch["id"].numpy(), batch["encodings"][self.spec.tokenizer]
        sizes = {field: positions(field, self.spec, encoding) for field in self.fields}
        return {str(field): self.store.read(field, ids, *size) for field, size in sizes.items()}


def positions(field: Field, spec: Spec, encoding: Mapping[str, Any]) -> tuple[list[int], int]:
    """How many positions each row of a field's values has, and how many the batch: tokens, or words of logits."""
    if field == LOGITS and spec.problem in OF_POSITIONS:
        return (encoding["words"].amax(1) + 1).tolist(), encoding["word_count"]
    mask = encoding["attention_mask"]
    return mask.sum(1).tolist(), mask.shape[1]

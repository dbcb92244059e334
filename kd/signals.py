"""What a frozen teacher says of a batch: asked now, or read from the store."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from kd.store.store import Store
from models.network import Network
from models.output import Field, Fields, ModelOutput

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
        mask = batch["encodings"][self.live.network.spec.tokenizer]["attention_mask"].bool()
        return ModelOutput.of({Field.parse(name): tensor for name, tensor in stored.items()}, mask)


class Reader:
    """Reads what a store holds of a batch; part of the data's loading, in whichever process that is.

    Args:
        store: of the teacher.
        fields: to read.
        tokenizer: fingerprint of the teacher's.
        classes: of its logits.
    """

    def __init__(self, store: Store, fields: Fields, tokenizer: str, classes: int):
        self.store, self.fields, self.tokenizer, self.classes = store, fields, tokenizer, classes

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        mask = batch["encodings"][self.tokenizer]["attention_mask"]
        ids, lengths, width = batch["id"].numpy(), mask.sum(1).tolist(), mask.shape[1]
        return {str(field): self.store.read(field, ids, lengths, width, self.classes) for field in self.fields}

"""Score, size and latency of a model, as the report states them."""

import time
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor

from models.network import Encodings, Network, parameter_count

WARM_UP = 3


def predict(network: Network, batches: Iterable[Any]) -> Iterator[tuple[Tensor, Any]]:
    """Deciding logits of each batch, in full float32, computed on the network's device, and the batch."""
    network.eval()
    device = next(network.parameters()).device
    for batch in batches:
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = network(move_data_to_device(batch["encodings"], device)).deciding.float().cpu()
        yield logits, batch


def size(network: Network) -> dict[str, Any]:
    """`parameters`, and `megabytes` (10^6 bytes) of the weights as they are saved, exits not counted."""
    state = {tensor.data_ptr(): tensor for tensor in network.model.state_dict().values()}.values()  # shared ones once
    return {
        "parameters": parameter_count(network.model),
        "megabytes": sum(tensor.numel() * tensor.element_size() for tensor in state) / 1e6,
    }


def latencies(networks: Mapping[str, Network], encodings: Encodings, repeats: int) -> dict[str, float]:
    """Median milliseconds of one forward pass of each network over the same texts, on the CPU.

    The networks take turns, so that what else the machine does at the moment hits all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for turn in range(WARM_UP + repeats):
            for name, network in networks.items():
                start = time.perf_counter()
                network(encodings)
                if turn >= WARM_UP:
                    times[name].append((time.perf_counter() - start) * 1000)
    return {name: median(values) for name, values in times.items()}

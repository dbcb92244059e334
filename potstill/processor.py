"""What this machine's processor can do."""

import torch


def has_bfloat16() -> bool:
    """Whether it computes in bfloat16; without, products are many times slower than in float32, and LSTMs fail."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())

"""What this machine's processor can do."""

import torch

# Whether it computes in bfloat16. Without, products are many times slower than in float32, and LSTMs fail.
HAS_BFLOAT16 = bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())

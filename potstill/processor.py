"""What this machine's processor can do."""

import torch

# Whether torch's kernels compute in bfloat16 here; without, products are many times slower than in float32, LSTMs fail.
HAS_BFLOAT16 = bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())

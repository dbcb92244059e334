import torch
from torch import nn

from potstill.processor import HAS_BFLOAT16


def test_lstms_run_in_bfloat16_where_the_processor_does():
    lstm, states = nn.LSTM(8, 8), torch.randn(2, 3, 8)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            able = lstm(states)[0].dtype == torch.bfloat16
    except RuntimeError:
        able = False
    assert able == HAS_BFLOAT16

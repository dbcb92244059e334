import torch

from kd.knowledge.projection import projection


def test_equal_widths_need_none():
    assert list(projection(8, 8).parameters()) == []


def test_other_widths_get_a_linear_map():
    assert projection(3, 5)(torch.ones(2, 4, 3)).shape == (2, 4, 5)

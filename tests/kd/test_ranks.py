"""What several processes do as one; the processes are real, and speak through gloo."""

import pytest
import torch
from torch import multiprocessing

from kd import ranks

ROWS = (2, 3)


def one_of_two(rank: int, place: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    everything = torch.randn(sum(ROWS), 4)
    mine = everything.split(ROWS)[rank].clone().requires_grad_()
    together = ranks.joined(mine)
    assert together.detach().equal(everything)
    pairwise = (together @ together.T).square().sum()
    pairwise.backward()
    whole = everything.clone().requires_grad_()
    (whole @ whole.T).square().sum().backward()
    torch.testing.assert_close(mine.grad, 2 * whole.grad.split(ROWS)[rank])  # both processes have the whole loss

    costs = torch.full((2,), float(rank))
    kept = costs.detach()
    assert ranks.mean(kept).tolist() == [0.5, 0.5]
    assert costs.tolist() == [rank] * 2
    with ranks.alone():
        assert not ranks.several()
        assert ranks.joined(mine) is mine
        assert ranks.mean(costs) is costs
    assert ranks.several()
    assert ranks.gathered([rank]) == [0, 1]
    assert ranks.from_first(rank) == 0
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes(tmp_path):
    multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)


def test_one_process_is_all_there_are():
    rows = torch.randn(3, 2, requires_grad=True)
    assert ranks.joined(rows) is rows
    assert ranks.mean(rows) is rows
    assert not ranks.several()
    assert ranks.gathered([1]) == [1]

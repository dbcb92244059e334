import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from kd.knowledge.contrast import BankContrast, InBatchContrast, noise_contrastive


def unit(seed, rows=4, width=3):
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=-1)


def connected(term, spec):
    torch.manual_seed(0)
    term.connect(spec, spec)
    return term


def test_two_texts_by_hand():
    value = InBatchContrast(temperature=1.0).compare(torch.eye(2), torch.eye(2), torch.tensor([1, 2]))
    assert value.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_texts_that_cannot_be_told_apart():
    same = torch.ones(4, 3) / math.sqrt(3)
    assert InBatchContrast().compare(same, same, torch.arange(4)).item() == pytest.approx(math.log(4))


@given(seed=st.integers(0, 2**31))
def test_both_directions_count_the_same(seed):
    term, one, other, ids = InBatchContrast(), unit(seed), unit(seed + 1), torch.arange(4)
    assert term.compare(one, other, ids).item() == pytest.approx(term.compare(other, one, ids).item(), rel=1e-5)


def test_a_text_is_not_told_apart_from_itself():
    ids = [0, 1, 2, 0]
    one, other = unit(0), unit(1)
    scores, expected = one @ other.T / 0.07, 0.0
    for direction in (scores, scores.T):
        for row in range(4):
            rivals = [column for column in range(4) if column == row or ids[column] != ids[row]]
            expected += (direction[row, rivals].logsumexp(0) - direction[row, row]).item() / 8
    assert InBatchContrast().compare(one, other, torch.tensor(ids)).item() == pytest.approx(expected, rel=1e-5)


def test_noise_by_hand():
    """All pairs as likely to be of one text as to be drawn: -(ln(1/5) + 4 ln(4/5))."""
    value = noise_contrastive(torch.zeros(1, 5), torch.ones(1, 4, dtype=torch.bool))
    assert value.item() == pytest.approx(-(math.log(1 / 5) + 4 * math.log(4 / 5)))
    assert value.item() == pytest.approx(2.502012, abs=1e-6)


def test_noise_that_does_not_count():
    ratios, noise = torch.randn(2, 4), torch.tensor([[True, False, True], [True, True, True]])
    alone = noise_contrastive(ratios[:1, [0, 1, 3]], torch.ones(1, 2, dtype=torch.bool))
    other = noise_contrastive(ratios[1:], noise[1:])
    assert noise_contrastive(ratios, noise).item() == pytest.approx((alone + other).item() / 2)
    assert noise_contrastive(ratios, torch.zeros_like(noise)).item() == 0


def test_the_bank_remembers_the_last_texts(make_spec, make_output):
    spec = make_spec()
    term = connected(BankContrast(size=6, dimension=5), spec)
    for start in (0, 4):
        batch = {"id": torch.arange(start, start + 4)}
        ours, theirs = make_output(spec, seed=start), make_output(spec, seed=start + 1)
        term(ours, theirs, batch)
        mine, its = term.met(ours, theirs)
    assert sorted(term.bank_ids.tolist()) == [2, 3, 4, 5, 6, 7]
    place = term.bank_ids.tolist().index(5)
    torch.testing.assert_close(term.bank[:, place], torch.stack([mine[1], its[1]]).detach())
    assert term.bank.norm(dim=-1).tolist() == [pytest.approx([1.0] * 6)] * 2


def test_the_first_batch_fixes_the_constants_and_the_second_teaches(make_spec, make_output):
    spec = make_spec()
    term = connected(BankContrast(size=16, dimension=5), spec)
    first = term(make_output(spec), make_output(spec, seed=1), {"id": torch.arange(4)})
    constant = term.constant.clone()
    assert first.item() == 0
    assert constant != 0
    loss = term(make_output(spec, seed=2), make_output(spec, seed=3), {"id": torch.arange(4, 8)})
    loss.backward()
    assert loss.item() > 0
    assert term.constant.equal(constant)
    assert all(weight.grad.abs().sum() > 0 for weight in (term.ours.weight, term.theirs.weight))


def test_the_loss_of_a_batch_equals_a_loop(make_spec, make_output):
    spec = make_spec()
    term = connected(BankContrast(size=16, dimension=5), spec)
    term(make_output(spec), make_output(spec, seed=1), {"id": torch.arange(4)})
    term.constant = torch.tensor(0.3)
    ours, theirs, ids = make_output(spec, seed=2), make_output(spec, seed=3), torch.tensor([3, 4, 5, 6])
    vectors, expected = [some.detach() for some in term.met(ours, theirs)], 0.0
    for side in (0, 1):
        anchors, positives = vectors[1 - side], vectors[side]
        for row in range(4):
            others = [place for place in range(4) if term.bank_ids[place] not in (-1, ids[row])]
            k = len(others)
            own = math.exp(anchors[row] @ positives[row] / 0.07 - term.constant)
            expected -= math.log(own / (own + k)) / 4
            for place in others:
                likely = math.exp(anchors[row] @ term.bank[side, place] / 0.07 - term.constant)
                expected -= math.log(k / (likely + k)) / 4
    assert term(ours, theirs, {"id": ids}).item() == pytest.approx(expected, rel=1e-4)


def test_without_gradient_nothing_is_remembered_and_the_bank_is_in_the_checkpoint(make_spec, make_output):
    spec = make_spec()
    term = connected(BankContrast(size=6, dimension=5), spec)
    before = deepcopy(term.state_dict())
    with torch.no_grad():
        term(make_output(spec), make_output(spec, seed=1), {"id": torch.arange(4)})
    after = term.state_dict()
    assert {"bank", "bank_ids", "constant", "seen"} <= set(after)
    assert all(tensor.equal(after[name]) for name, tensor in before.items())

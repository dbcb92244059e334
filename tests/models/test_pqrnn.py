import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tokenization import TrainingTexts
from models.pqrnn import PQRNN, QuasiRecurrence, TernaryProjection, accumulated, delayed
from potstill.errors import UserError

TEXTS = ["a good film", "so bad that one sees it again and again"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS}), 64)
SIZES = {"hidden_size": 6, "classifier_size": 7, "embedding_size": 5, "projection_size": 32}


def drafted(**settings):
    return PQRNN(**(SIZES | {"vocabulary": "words"} | settings)).draft(("bad", "good"), None, CORPUS)


@pytest.fixture
def student():
    torch.manual_seed(0)
    return drafted().network().eval()


def say(student, texts):
    return student.model(**student.tokenizer(texts, padding=True, return_tensors="pt")).logits


def test_a_feature_is_a_hash_in_32_bits_rounded():
    projection, ids = TernaryProjection(7), [0, 1, 29_999, 250_000]
    for number, features in zip(ids, projection(torch.tensor([ids]))[0].tolist(), strict=True):
        numbers = (projection.factors.tolist(), projection.offsets.tolist())
        for factor, offset, feature in zip(*numbers, features, strict=True):
            highest = (factor * number + offset) % 2**32 // 2**29  # three bits, of which the first is the sign
            assert feature == {0: 0, 1: 0, 2: 1, 3: 1, 4: -1, 5: -1, 6: 0, 7: 0}[highest]


def test_half_of_the_features_are_nothing_and_those_of_two_ids_have_nothing_in_common():
    features = TernaryProjection(1024)(torch.arange(2000)[None])[0]
    assert set(features.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert [round((features == value).float().mean().item(), 2) for value in (-1, 0, 1)] == [0.25, 0.5, 0.25]
    alike = features @ features.T / 1024  # 0 on average, with a deviation of 0.5 / 32
    assert alike.fill_diagonal_(0).abs().max() < 0.12
    assert alike.mean().abs() < 0.001
    assert (features.T @ features / 2000).fill_diagonal_(0).abs().mean() < 0.02  # nor those of two hashes


def test_a_pattern_is_the_same_in_every_process():
    assert TernaryProjection(8)(torch.tensor([[101]])).flatten().tolist() == [0, 0, 1, 0, 0, 1, 1, 0]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 2**16))
def test_all_positions_at_once_are_one_after_another(rows, length, seed):
    generator = torch.Generator().manual_seed(seed)
    keep, new = torch.rand(2, rows, length, 3, generator=generator, dtype=torch.float64)
    state, states = torch.zeros(rows, 3, dtype=torch.float64), []
    for step in range(length):
        state = keep[:, step] * state + new[:, step]
        states.append(state)
    torch.testing.assert_close(accumulated(keep, new), torch.stack(states, dim=1))


def test_its_gradient():
    keep, new = torch.rand(2, 2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(accumulated, (keep.requires_grad_(), new.requires_grad_()))


def test_states_are_delayed_by_positions():
    states = torch.arange(1.0, 4).view(1, 3, 1)
    assert [delayed(states, steps).flatten().tolist() for steps in (0, 1, 5)] == [[1, 2, 3], [0, 1, 2], [0, 0, 0]]


def test_the_gates_are_those_of_the_paper():
    torch.manual_seed(0)
    layer, states = QuasiRecurrence(3, 2, kernel_size=2, zoneout=0.0), torch.randn(1, 4, 3)
    state, expected = torch.zeros(2), []
    for step in range(4):
        before = states[0, step - 1] if step else torch.zeros(3)
        candidate, forget, output = layer.gates(torch.cat([states[0, step], before])).view(3, 2)
        state = forget.sigmoid() * state + (1 - forget.sigmoid()) * candidate.tanh()
        expected.append(output.sigmoid() * state)
    torch.testing.assert_close(layer(states)[0], torch.stack(expected))


def test_zoneout_lets_states_stay_in_training_alone():
    torch.manual_seed(0)
    layer, states = QuasiRecurrence(3, 200, kernel_size=1, zoneout=0.25), torch.randn(1, 1, 3)
    stayed = (layer(states) == 0).float().mean()  # the first state, which there is nothing before
    assert stayed == pytest.approx(0.25, abs=0.1)
    assert (layer.eval()(states) == 0).sum() == 0


def test_gates_start_open(student):
    for layer in student.model.encoder.layers:
        for half in (layer.ahead, layer.back):
            assert half.gates.bias.view(3, 6).sum(1).tolist() == [0, 6, 0]
            assert half.gates.weight.std() > 0.1


def test_padding_and_other_rows_do_not_matter(student):
    together = say(student, TEXTS)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(together[row : row + 1], say(student, [text]))


def test_the_order_of_words_matters(student):
    assert not torch.allclose(say(student, ["good a film"]), say(student, ["film a good"]))


def test_no_weight_is_as_long_as_the_vocabulary():
    few, many = drafted(vocabulary_size=2), drafted(vocabulary_size=9)
    assert few.config.vocab_size < many.config.vocab_size
    assert few.spec.parameters == many.spec.parameters


def test_it_comes_back_from_its_folder(student, comes_back):
    comes_back(student, TEXTS)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"zoneout": 1}, "student.zoneout: 1 is not a number from 0 to below 1"),
        ({"kernel_size": 0}, "student.kernel_size: 0 is not a whole number above 0"),
        ({"embeddings": "teacher"}, "student.embeddings: a pQRNN has no table"),
    ],
)
def test_what_cannot_be_is_refused(setting, message):
    with pytest.raises(UserError, match=message):
        PQRNN(**setting)

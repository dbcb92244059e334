import pytest
import torch
from torch.nn import functional as F

from data.tagging import Tagging, split_up
from potstill.errors import UserError

TASK = Tagging(("B-film", "I-film", "O"))
LABELS = torch.tensor([[0, 1, 2, -100], [2, 2, 0, 2], [-100] * 4])


def test_tags_of_a_row():
    assert split_up("O B-film") == split_up('["O", "B-film"]') == ["O", "B-film"]
    assert TASK.encode("O B-film", "see it") == [2, 0]
    assert TASK.encode("O B-person", "see it") is None
    assert TASK.encode("O", "see it") is None
    assert TASK.complaint("O B-person", "see it")[0] == "unknown label 'B-person'"
    assert TASK.complaint("O", "see it") == ("1 tags for 2 words", "each word has one")
    assert TASK.encode("['O', 'O']", "see it") is None
    assert "is no list" in TASK.complaint("['O', 'O']", "see it")[0]


def test_names_are_those_of_all_words():
    assert TASK.names(["O B-x", '["I-x"]'], None) == ("B-x", "I-x", "O")
    with pytest.raises(UserError, match="two classes at least"):
        TASK.names(["O O"], None)


def test_the_loss_is_the_mean_over_tagged_words_times_the_share_of_tagged_texts():
    logits = torch.randn(3, 4, 3, requires_grad=True)
    loss = TASK.loss(logits, LABELS)
    loss.backward()
    known = LABELS != -100
    expected = F.cross_entropy(logits[known], LABELS[known]) * 2 / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert logits.grad[~known].eq(0).all()
    assert TASK.loss(logits[2:], LABELS[2:]).item() == 0


def test_entities_are_counted_whole():
    """Of two entities one is found, another one is made up."""
    said = torch.tensor([[0, 1, 2, 2], [2, 0, 2, 2], [0, 0, 0, 0]])
    metrics = TASK.metrics()
    metrics.update(said, LABELS)
    scores = metrics.compute()
    assert TASK.metric == "f1"
    assert scores["f1"].item() == pytest.approx(0.5)
    assert scores["accuracy"].item() == pytest.approx(5 / 7)


def test_batches_of_other_lengths_add_up():
    metrics = TASK.metrics()
    metrics.update(torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 2]]))
    metrics.update(torch.tensor([[2, 2]]), torch.tensor([[2, 0]]))
    assert metrics.compute()["f1"].item() == pytest.approx(2 / 3)
    metrics.reset()
    metrics.update(torch.tensor([[2, 2]]), torch.tensor([[2, 2]]))
    assert metrics.compute()["f1"].item() == 0


def test_tags_without_entities_are_counted_word_by_word():
    assert Tagging(("NOUN", "VERB")).metric == "accuracy"
    assert list(Tagging(("NOUN", "VERB")).metrics()) == ["accuracy"]


def test_a_line_for_a_reader():
    assert TASK.line([0, 2], torch.tensor([0, 1, 2, 2])) == ["B-film O", "B-film I-film"]
    assert TASK.columns == ()
    unseen = TASK.readable(torch.tensor([[0, 1, 2]]), torch.tensor([[0, -100, 2]]))[0]
    assert TASK.line([0, 1, 2, 2], unseen)[1] == "B-film _ O _"

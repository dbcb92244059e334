import pytest
import torch
from transformers import PreTrainedModel

from kd.plan import make_plan
from potstill.errors import UserError


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    """A plan must not load any."""

    def refuse(*args, **kwargs):
        raise AssertionError("a weight was loaded")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", refuse)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", refuse)


def test_a_plan_tells_models_pairs_terms_and_steps(configure):
    text = str(make_plan(configure("kd=[response,feature]", "student=bert_small")))
    assert "96 labelled and 48 unlabelled training rows, 48 validation, 48 test; classes bad, good" in text
    assert "teacher   bert, 4 layers, width 32, 2 heads" in text
    assert "used as it is" in text
    assert "the teacher's layers 0, 3" in text
    assert (
        "student <- teacher: response (T = 2); hidden_states (layers 1<-2, 2<-4); attention (layers 1<-2, 2<-4)" in text
    )
    assert "2 epochs of 9 steps: 18 steps" in text


def test_a_plan_says_what_it_leaves_out(configure):
    assert "attention left out, the learner (potstill_bilstm) gives no attentions" in str(
        make_plan(configure("kd=feature", "student=bilstm"))
    )


def test_labels_alone_take_fewer_steps(configure):
    plan = make_plan(configure("kd=none"))
    assert plan.steps_per_epoch == 6
    assert "student <- labels: label loss" in str(plan)


def test_accumulated_batches_are_one_step(configure):
    assert make_plan(configure("trainer.accumulate_grad_batches=2")).steps_per_epoch == 5


def test_students_of_several_kinds_teach_each_other(configure):
    plan = make_plan(configure("scheme=mutual", "+student@scheme.peers.second=cnn_lstm", "student=bert_small"))
    assert [str(pair) for pair in plan.pairs] == ["student<-second", "second<-student"]
    assert plan.drafts["second"].spec.kind == "potstill_cnn_lstm"


def test_no_teacher_is_needed_where_nobody_asks_it(configure):
    words = ["student=bilstm", "student.vocabulary=words", "student.embeddings=random", "student.embedding_size=16"]
    config = configure("scheme=mutual", *words)
    config.teacher = {"model": None, "train": True}
    plan = make_plan(config)
    assert plan.teacher is None
    assert "random weights" in str(plan)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["kd=attention", "student=bilstm"], r"kd.terms.attention: .* gives no attentions"),
        (["kd=hidden_states", "student=bilstm", "student.vocabulary=words"], "different tokenizers"),
        (["teacher.train=false", "teacher.path={pretrained}"], "have no trained classifier"),
        (["data.labels=[good,bad]"], r"in another order; say 'data.labels=\[bad,good\]'"),
        (["student.num_hidden_layers=9", "student=bert_small"], "the teacher has only 4"),
        (["kd=none", "kd.label_weight=0"], "kd.label_weight=0: without labels"),
        (["scheme=self", "student=bert_small", "kd.label_weight=0"], "kd.label_weight=0: without labels"),
        (["data.max_length=65"], "65 tokens, but bert reads 64 at most"),
        (["data.text=[sentence,sentence]"], "one column or two different ones"),
        (["student=bilstm", "student.embeddings=nowhere.vec"], "nowhere.vec: no such file"),
        (["data.metric=bleu"], "data.metric: 'bleu' is none of"),
        (["data.text=review"], "no column 'review'; there are 'sentence', 'label'"),
        (["data.train=nowhere.csv"], "nowhere.csv: no such file"),
        (["student=bilstm", "student.embedding_size=99"], "wider than the teacher's 32"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(configure, pretrained, more, reason):
    with pytest.raises(UserError, match=reason) as refused:
        make_plan(configure(*(override.format(pretrained=pretrained) for override in more)))
    assert "\n" not in str(refused.value)

import pytest
import torch
from transformers import PreTrainedModel

from kd.plan import make_plan
from kd.store.estimate import in_words
from models.output import LOGITS, Field
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
    assert "attention left out, the learner (potstill_bilstm) gives no attention scores" in str(
        make_plan(configure("kd=feature", "student=bilstm"))
    )


def test_labels_alone_take_fewer_steps(configure):
    plan = make_plan(configure("kd=none"))
    assert plan.steps_per_epoch == 6
    assert "student <- labels: label loss" in str(plan)


@pytest.mark.parametrize("scheme", ["teacher_free", "collaborative"])
def test_where_only_labels_teach_unlabelled_rows_are_left_out(scheme, configure):
    plan = make_plan(configure(f"scheme={scheme}"))
    assert len(plan.rows) == 96
    assert "training  96 rows; 2 epochs of 6 steps: 12 steps" in str(plan)


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


def store_of(plan):
    (line,) = [line for line in str(plan).splitlines() if line.startswith("store ")]
    return line.removeprefix("store").strip()


def test_a_plan_tells_what_is_stored(configure):
    """144 rows of two logits of two bytes."""
    assert store_of(make_plan(configure())) == "logits of 144 rows, about 576 bytes in float16"
    assert store_of(make_plan(configure("store.dtype=float32"))) == "logits of 144 rows, about 1.2 kB in float32"
    found = store_of(make_plan(configure("kd=[response,relation,hidden_states]", "student=bert_small")))
    assert found.startswith("hidden_states.2, hidden_states.4, logits, mean_states.4 of 144 rows, about ")


def test_the_room_that_a_store_needs_follows_from_tokens_and_widths(configure):
    plan = make_plan(configure("kd=hidden_states", "student=bert_small"))
    tokens = sum(len(ids) for ids in plan.teacher.tokenizer(plan.rows["text"][:])["input_ids"])
    assert f"about {in_words(tokens * 2 * 32 * 2)} in float16" in store_of(plan)


@pytest.mark.parametrize("more", [["store=off"], ["store.budget=0"]])
def test_a_plan_without_store_says_so(configure, more):
    assert store_of(make_plan(configure(*more))) == "nothing: the teacher runs in every step"


def test_a_store_past_its_budget_is_not_made_and_the_plan_says_so(configure):
    line = store_of(make_plan(configure("kd=hidden_states", "student=bert_small", "store.budget=0.000001")))
    assert line.startswith("hidden_states.2, hidden_states.4 of 144 rows, about ")
    assert line.endswith("; more than store.budget=1e-06 GB: nothing is stored")


@pytest.mark.parametrize("more", [["scheme=mutual"], ["scheme=self", "student=bert_small"], ["kd=none"]])
def test_where_no_frozen_teacher_is_asked_nothing_is_stored(configure, more):
    assert store_of(make_plan(configure(*more))) == "nothing: no term reads a frozen teacher"


def test_a_plan_knows_what_each_network_has_to_give(configure):
    plan = make_plan(configure("kd=[response,relation]", "student=bilstm"))
    assert plan.fields == {
        "student": {LOGITS, Field("mean_states", 1)},
        "teacher": {LOGITS, Field("mean_states", 4)},
    }
    assert make_plan(configure("kd=none")).fields == {}


@pytest.mark.parametrize(("kd", "rows"), [("response", 96 + 48), ("none", 96)])
def test_a_plan_knows_the_rows_that_the_student_is_trained_on(configure, kd, rows):
    assert len(make_plan(configure(f"kd={kd}")).rows) == rows


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["kd=attention", "student=bilstm"], r"kd.terms.attention: .* gives no attention scores"),
        (["teacher.train=false", "teacher.path={pretrained}"], "have no trained classifier"),
        (["data.labels=[good,bad]"], r"in another order; say 'data.labels=\[bad,good\]'"),
        (["student.num_hidden_layers=9", "student=bert_small"], "the teacher has only 4"),
        (["kd=none", "kd.label_weight=0"], "kd.label_weight=0: without labels"),
        (["scheme=self", "student=bert_small", "kd.label_weight=0"], "kd.label_weight=0: without labels"),
        (
            [
                *("scheme=ensemble", "scheme.weights=learned", "kd.label_weight=0"),
                *("+teacher@scheme.teachers.second=local", "scheme.teachers.second.path={pretrained}"),
            ],
            "kd.label_weight=0: without labels mixture learns nothing",
        ),
        (["kd=random_layers", "student=bilstm"], "its pairing finds no layers to compare between 1 and 4"),
        (["kd=decoupled"], "2 classes: there is but one other class; say kd=response"),
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


def test_a_task_with_labels_needs_their_column(configure):
    with pytest.raises(UserError, match=r"data\.label: name the column of the labels"):
        make_plan(configure("data.label=null"))


def test_a_part_that_keeps_its_weights_is_told_or_refused(configure):
    plan = make_plan(configure("student=bilstm", "optimizer.frozen=[encoder]"))
    assert "frozen    encoder; 0." in str(plan)
    for frozen, reason in (
        ("encode", "has no part 'encode'; there are encoder"),
        ("encoder,classifier", "nothing is left"),
    ):
        with pytest.raises(UserError, match=rf"optimizer\.frozen: .*{reason}"):
            make_plan(configure("student=bilstm", f"optimizer.frozen=[{frozen}]"))


def test_callbacks_are_named_and_what_is_none_is_refused(configure):
    config = configure("+callbacks.mine={_target_: pytorch_lightning.callbacks.Timer}")
    assert "callbacks mine" in str(make_plan(config)).splitlines()
    with pytest.raises(UserError, match=r"callbacks.mine: 5 is no callback of Lightning; say {_target_: …}"):
        make_plan(configure("+callbacks.mine=5"))

import torch

from kd.signals import LiveTeacher
from models.output import LOGITS, Field
from models.sources import Folder
from models.transformer import Pretrained


def test_a_teacher_never_trains_and_never_drops_out(fine_tuned):
    network = Pretrained(Folder(str(fine_tuned))).draft(("bad", "good")).network().train()
    fields = frozenset({LOGITS, Field("attention_scores", 2), Field("hidden_states", 4)})
    teacher = LiveTeacher(network, fields)
    ids = torch.tensor([[2, 5, 6, 3]])
    batch = {"encodings": {network.spec.tokenizer: {"input_ids": ids, "attention_mask": torch.ones_like(ids)}}}
    one, other = teacher(batch), teacher(batch)
    for field in fields:
        assert one[field].equal(other[field])
        assert not one[field].requires_grad
    assert (list(one.attention_scores), list(one.hidden_states), one.mean_states) == ([2], [4], {})
    assert not any(parameter.requires_grad for parameter in teacher.parameters())

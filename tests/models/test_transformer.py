import shutil
from itertools import pairwise

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, BertConfig, BertModel, DistilBertConfig, ModernBertConfig, RobertaConfig

from data.tokenization import TrainingTexts
from models.sources import Folder
from models.transformer import Pretrained, SmallTransformer, chosen_layers, evenly_spaced, load
from models.words import word_tokenizer
from potstill.errors import UserError

LABELS = ("bad", "good")
TEXTS = ["a good film", "a bad film"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS}), 64)


def saved(folder, config):
    """The folder of a body of this kind, with random weights."""
    config.vocab_size = 50
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    word_tokenizer(TEXTS, 20).save_pretrained(folder)
    return Pretrained(Folder(str(folder))).draft(LABELS)


@pytest.fixture
def teacher(tmp_path):
    """Twelve layers of width 32."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 12}
    return saved(tmp_path / "teacher", BertConfig(max_position_embeddings=32, **sizes))


def draft(teacher, **sizes):
    return SmallTransformer(**sizes).draft(LABELS, teacher, CORPUS)


def parameters_of(layer):
    return dict(layer.named_parameters())


class TestEvenlySpaced:
    @pytest.mark.parametrize(
        ("count", "layers", "chosen"),
        [(6, 12, (0, 2, 4, 7, 9, 11)), (2, 6, (0, 5)), (3, 12, (0, 6, 11)), (4, 4, (0, 1, 2, 3))],
    )
    def test_the_choice_for_well_known_depths(self, count, layers, chosen):
        assert evenly_spaced(count, layers) == chosen

    @given(layers=st.integers(2, 48), data=st.data())
    def test_first_and_last_are_taken_and_none_twice(self, layers, data):
        count = data.draw(st.integers(2, layers))
        chosen = evenly_spaced(count, layers)
        assert (chosen[0], chosen[-1], len(chosen)) == (0, layers - 1, count)
        steps = [after - before for before, after in pairwise(chosen)]
        assert 1 <= min(steps) <= max(steps) <= min(steps) + 1

    def test_a_single_layer_is_the_first(self):
        assert evenly_spaced(1, 6) == (0,)

    def test_more_layers_than_the_teacher_has_are_refused(self):
        with pytest.raises(UserError, match=r"student\.num_hidden_layers: 7 layers, but the teacher has only 6"):
            evenly_spaced(7, 6)


class TestChosenLayers:
    def test_layers_are_renumbered_and_all_else_stays(self):
        state = {
            "embeddings.weight": 0,
            "encoder.layer.0.attention.weight": 1,
            "encoder.layer.3.attention.weight": 2,
            "encoder.layer.10.norm.bias": 3,
            "model.layers.10.norm.bias": 4,
            "classifier.layer_norm.weight": 5,
        }
        assert chosen_layers(state, [3, 10]) == {
            "embeddings.weight": 0,
            "encoder.layer.0.attention.weight": 2,
            "encoder.layer.1.norm.bias": 3,
            "model.layers.1.norm.bias": 4,
            "classifier.layer_norm.weight": 5,
        }

    def test_a_layer_may_be_taken_twice(self):
        assert chosen_layers({"layer.1.w": 7, "x.layer.1.w": 8}, [1, 1])["x.layer.1.w"] == 8
        assert chosen_layers({"x.layer.1.w": 8}, [1, 1]) == {"x.layer.0.w": 8, "x.layer.1.w": 8}


class TestSmallTransformer:
    def test_its_weights_are_the_teachers_evenly_spaced_layers(self, teacher):
        network = teacher.network()
        student = draft(teacher, num_hidden_layers=3).network(network).model.bert
        for layer, original in zip(student.encoder.layer, (0, 6, 11), strict=True):
            expected = parameters_of(network.model.bert.encoder.layer[original])
            assert all(torch.equal(tensor, expected[name]) for name, tensor in parameters_of(layer).items())

    def test_embeddings_and_classifier_are_the_teachers_too(self, teacher):
        network = teacher.network()
        student = draft(teacher).network(network).model
        assert torch.equal(student.get_input_embeddings().weight, network.model.get_input_embeddings().weight)
        assert torch.equal(student.classifier.weight, network.model.classifier.weight)

    def test_it_shares_no_memory_with_the_teacher(self, teacher):
        network = teacher.network()
        student = draft(teacher).network(network)
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.fill_(3.0)
        assert not any((parameter == 3.0).all() for parameter in network.parameters())

    def test_layers_can_be_chosen(self, teacher):
        network = teacher.network()
        chosen = draft(teacher, teacher_layers=[10, 1])
        assert chosen.origin == "the teacher's layers 10, 1"
        layer = chosen.network(network).model.bert.encoder.layer[0]
        assert torch.equal(layer.output.dense.weight, network.model.bert.encoder.layer[10].output.dense.weight)

    def test_as_deep_as_its_teacher_it_says_the_same(self, teacher):
        network = teacher.network().eval()
        student = draft(teacher, num_hidden_layers=12).network(network).eval()
        batch = {teacher.spec.tokenizer: teacher.tokenizer(TEXTS, return_tensors="pt")}
        torch.testing.assert_close(student(batch).logits, network(batch).logits)

    def test_an_empty_choice_starts_from_random_weights(self, teacher):
        network = teacher.network()
        random = draft(teacher, teacher_layers=[])
        assert random.origin == "random weights"
        student = random.network(network).model
        assert not torch.equal(student.get_input_embeddings().weight, network.model.get_input_embeddings().weight)

    @pytest.mark.parametrize("sizes", [{"hidden_size": 64}, {"intermediate_size": 64}, {"num_attention_heads": 2}])
    def test_another_width_starts_from_random_weights(self, teacher, sizes):
        other = draft(teacher, **sizes)
        assert other.origin == "random weights"
        network = other.network(teacher.network())
        assert all(getattr(network.model.config, name) == value for name, value in sizes.items())

    def test_another_width_refuses_chosen_layers(self, teacher):
        with pytest.raises(UserError, match=r"student\.teacher_layers: only a student as wide as its teacher"):
            draft(teacher, hidden_size=64, teacher_layers=[0, 1])

    def test_chosen_layers_without_teacher_are_refused(self):
        with pytest.raises(UserError, match=r"student\.teacher_layers"):
            draft(None, teacher_layers=[0, 1])

    def test_the_number_of_chosen_layers_must_be_that_of_the_student(self, teacher):
        with pytest.raises(UserError, match=r"3 layers given for student\.num_hidden_layers=2"):
            draft(teacher, teacher_layers=[0, 1, 2])

    @pytest.mark.parametrize("layers", [[0, 12], [-1, 3]])
    def test_layers_that_the_teacher_does_not_have_are_refused(self, teacher, layers):
        with pytest.raises(UserError, match=r"student\.teacher_layers: the teacher's layers are 0 to 11"):
            draft(teacher, teacher_layers=layers)

    def test_more_layers_than_the_teachers_are_refused_before_any_weight_is_loaded(self, teacher):
        with pytest.raises(UserError, match=r"student\.num_hidden_layers: 13 layers"):
            draft(teacher, num_hidden_layers=13)

    def test_heads_must_divide_the_width(self, teacher):
        with pytest.raises(UserError, match=r"student\.num_attention_heads: 5 heads do not divide .*hidden_size 32"):
            draft(teacher, num_attention_heads=5)

    @pytest.mark.parametrize(("width", "heads"), [(32, 4), (256, 4), (48, 1), (128, 2)])
    def test_it_has_the_teachers_heads_or_one_per_64_of_width(self, teacher, width, heads):
        assert draft(teacher, hidden_size=width).spec.heads == heads

    def test_it_reads_the_teachers_tokens(self, teacher):
        assert draft(teacher, hidden_size=64).spec.tokenizer == teacher.spec.tokenizer

    def test_without_teacher_it_is_a_bert_with_words_of_its_own(self):
        alone = draft(None, hidden_size=32, vocabulary_size=3)
        assert (alone.spec.kind, alone.spec.layers, alone.spec.widths[0]) == ("bert", 2, 32)
        assert {"film", "good", "bad"} & alone.tokenizer.get_vocab().keys() != set()
        assert alone.config.vocab_size == len(alone.tokenizer)
        assert alone.origin == "random weights"
        batch = alone.tokenizer(TEXTS, padding=True, return_tensors="pt")
        assert alone.network().eval()({alone.spec.tokenizer: batch}).logits.shape == (2, 2)

    def test_it_is_of_the_teachers_kind(self, tmp_path):
        sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 4}
        teacher = saved(tmp_path, RobertaConfig(pad_token_id=0, **sizes))
        student = draft(teacher)
        assert student.spec.kind == "roberta"
        assert student.origin == "the teacher's layers 0, 3"
        batch = {teacher.spec.tokenizer: teacher.tokenizer(TEXTS, return_tensors="pt")}
        assert student.network(teacher.network())(batch).logits.shape == (2, 2)

    def test_with_the_teachers_width_it_has_the_teachers_feed_forward_part(self, pretrained):
        """MiniLM's is four times as wide as its layers; not every model's is."""
        teacher = Pretrained(Folder(str(pretrained))).draft(LABELS)
        assert teacher.config.intermediate_size == 2 * teacher.config.hidden_size
        assert draft(teacher).origin == "the teacher's layers 0, 3"

    def test_a_distilbert_gives_its_width(self, tmp_path):
        teacher = saved(tmp_path, DistilBertConfig(dim=32, n_layers=4, n_heads=4, hidden_dim=128))
        assert draft(teacher).spec.widths == (32, 32, 32)
        assert draft(teacher).origin == "the teacher's layers 0, 3"

    def test_a_teacher_that_lists_its_layers_can_be_cut(self, tmp_path):
        sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 4}
        teacher = saved(tmp_path, ModernBertConfig(pad_token_id=0, **sizes))
        assert draft(teacher).spec.layers == 2


class TestPretrained:
    def test_it_gives_the_weights_of_its_folder(self, pretrained):
        network = Pretrained(Folder(str(pretrained))).draft(LABELS).network()
        expected = BertModel.from_pretrained(pretrained).get_input_embeddings().weight
        assert torch.equal(network.model.get_input_embeddings().weight, expected)

    def test_its_classifier_gets_the_classes_of_the_data(self, pretrained):
        draft = Pretrained(Folder(str(pretrained))).draft(("a", "b", "c"))
        assert draft.spec.classes == 3
        assert draft.network().model.config.id2label == {0: "a", 1: "b", 2: "c"}

    def test_it_says_where_its_weights_come_from(self, pretrained):
        draft = Pretrained(Folder(str(pretrained))).draft(LABELS)
        assert draft.origin == f"weights from {pretrained}"

    def test_a_missing_folder_is_one_line(self, tmp_path):
        with pytest.raises(UserError) as caught:
            Pretrained(Folder(str(tmp_path / "nowhere"))).draft(LABELS)
        assert str(caught.value) == f"{tmp_path}/nowhere: no model here (no config.json)"

    def test_a_folder_without_weights_is_one_line(self, pretrained, tmp_path):
        shutil.copytree(pretrained, tmp_path / "copy")
        (tmp_path / "copy" / "model.safetensors").unlink()
        draft = Pretrained(Folder(str(tmp_path / "copy"))).draft(LABELS)
        with pytest.raises(UserError, match=r"^model .*copy: .*teacher=local teacher\.path=…$"):
            draft.network()

    def test_a_config_that_is_not_json_is_one_line(self, pretrained, tmp_path):
        shutil.copytree(pretrained, tmp_path / "copy")
        (tmp_path / "copy" / "config.json").write_text("{")
        with pytest.raises(UserError, match=r"^model .*copy: "):
            Pretrained(Folder(str(tmp_path / "copy"))).draft(LABELS)

    def test_weights_for_another_number_of_classes_are_refused(self, fine_tuned):
        with pytest.raises(UserError, match=r"^model "):
            Pretrained(Folder(str(fine_tuned))).draft(("a", "b", "c")).network()

    def test_weights_that_break_off_are_one_line(self, pretrained, tmp_path):
        shutil.copytree(pretrained, tmp_path / "copy")
        weights = tmp_path / "copy" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        draft = Pretrained(Folder(str(tmp_path / "copy"))).draft(LABELS)
        with pytest.raises(UserError, match=r"^model .*copy: "):
            draft.network()

    def test_a_folder_without_tokenizer_is_refused(self, pretrained, tmp_path):
        shutil.copytree(pretrained, tmp_path / "copy")
        for path in (tmp_path / "copy").glob("tokenizer*"):
            path.unlink()
        with pytest.raises(UserError, match="tokenizer"):
            Pretrained(Folder(str(tmp_path / "copy"))).draft(LABELS)

    def test_a_saved_network_is_loaded_with_its_classes(self, fine_tuned):
        network = load(fine_tuned)
        assert network.spec.classes == 2
        assert network.model.config.id2label == {0: "bad", 1: "good"}

import pytest
import torch
from datasets import Dataset

from data.tokenization import TrainingTexts
from models.bilstm import BiLSTM
from models.cnn_lstm import CNNLSTM
from models.network import parameter_count
from models.output import ATTENTION, STATES, Field
from models.sources import Folder
from models.transformer import Pretrained, SmallTransformer
from potstill import fingerprint
from potstill.errors import UserError

LABELS = ("bad", "good", "so so")
TEXTS = ["a wonderful film", "its plot is dull"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS}), 64)
STUDENTS = {
    "bilstm": BiLSTM(),
    "bilstm, narrow": BiLSTM(embedding_size=8, num_hidden_layers=2),
    "bilstm, teacher's words": BiLSTM(vocabulary="teacher"),
    "bilstm, words": BiLSTM(vocabulary="words"),
    "bilstm, alone": BiLSTM(vocabulary="words", embeddings="random", embedding_size=9),
    "cnn_lstm": CNNLSTM(),
    "cnn_lstm, words": CNNLSTM(vocabulary="words", embedding_size=5, word_length=4),
    "transformer": SmallTransformer(intermediate_size=64),
    "transformer, wide": SmallTransformer(hidden_size=64, num_hidden_layers=3),
    "transformer, random": SmallTransformer(teacher_layers=[]),
}


@pytest.fixture(scope="module")
def teacher(pretrained):
    return Pretrained(Folder(str(pretrained))).draft(LABELS)


def draft(blueprint, teacher):
    return blueprint.draft(LABELS, teacher, CORPUS)


@pytest.fixture(params=STUDENTS.values(), ids=STUDENTS.keys())
def student(request, teacher):
    return draft(request.param, teacher)


def test_the_spec_counts_the_parameters_of_the_network(student, teacher):
    counted = student.spec.parameters
    assert counted == parameter_count(student.network(teacher.network()).model)


def test_the_network_gives_what_the_spec_says(student, teacher):
    network, spec = student.network(teacher.network()).eval(), student.spec
    fields = {Field(name, layer) for name in spec.provides & STATES for layer in range(spec.layers + 1)}
    fields |= {Field(name, layer) for name in spec.provides & ATTENTION for layer in range(1, spec.layers + 1)}
    network.record(frozenset(fields))
    batch = student.tokenizer(TEXTS, padding=True, return_tensors="pt")
    output = network({spec.tokenizer: batch}, frozenset(fields))
    assert output.logits.shape == (2, spec.classes) == (2, 3)
    for name in STATES:
        assert tuple(getattr(output, name)[layer].shape[-1] for layer in range(spec.layers + 1)) == spec.widths
    heads = {output[key].shape[1] for key in fields if key.name in ATTENTION}
    assert heads == (set() if spec.heads is None else {spec.heads})


def test_only_what_a_network_can_give_is_promised(teacher):
    assert draft(BiLSTM(), teacher).spec.provides == {"logits"} | STATES
    assert draft(SmallTransformer(), teacher).spec.provides == {"logits"} | STATES | ATTENTION


def test_a_draft_of_a_huge_network_takes_no_memory(teacher):
    """Forty thousand million parameters: 160 GB, were they allocated."""
    spec = draft(SmallTransformer(hidden_size=16_384, num_hidden_layers=12), teacher).spec
    assert spec.parameters > 3.8e10


def test_the_classes_of_the_data_are_written_into_the_config(student):
    assert student.config.id2label == {0: "bad", 1: "good", 2: "so so"}
    assert student.config.label2id == {"bad": 0, "good": 1, "so so": 2}


def test_random_weights_follow_the_seed(teacher):
    alone = draft(STUDENTS["bilstm, alone"], None)
    networks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(torch.cat([parameter.flatten() for parameter in alone.network().parameters()]))
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])


class TestEmbeddings:
    def table(self, blueprint, teacher, network=None):
        return draft(blueprint, teacher).network(network).model.get_input_embeddings().weight.detach()

    @pytest.mark.parametrize("kind", [BiLSTM, CNNLSTM], ids=["bilstm", "cnn_lstm"])
    def test_they_are_the_teachers(self, teacher, kind):
        network = teacher.network()
        expected = network.model.get_input_embeddings().weight
        assert torch.equal(self.table(kind(vocabulary="teacher"), teacher, network), expected)

    @pytest.mark.parametrize("kind", [BiLSTM, CNNLSTM], ids=["bilstm", "cnn_lstm"])
    def test_each_piece_that_is_kept_has_the_teachers_row(self, teacher, kind):
        network = teacher.network()
        student = draft(kind(), teacher)
        table = student.network(network).model.get_input_embeddings().weight
        pieces, theirs = student.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
        assert len(table) == len(pieces) < len(theirs)
        assert {"wonderful", "film", "plot"} <= set(pieces)
        expected = network.model.get_input_embeddings().weight
        assert all(torch.equal(table[number], expected[theirs[piece]]) for piece, number in pieces.items())

    def test_narrower_ones_keep_the_products_among_words(self, teacher):
        network = teacher.network()
        wide = network.model.get_input_embeddings().weight.detach()
        left, values, _ = torch.linalg.svd(wide, full_matrices=False)
        best = left[:, :20] * values[:20]
        narrow = self.table(BiLSTM(vocabulary="teacher", embedding_size=20), teacher, network)
        torch.testing.assert_close(narrow @ narrow.T, best @ best.T, atol=1e-5, rtol=1e-4)

    def test_words_of_our_own_take_the_teachers_rows(self, teacher):
        network = teacher.network()
        student = draft(BiLSTM(vocabulary="words"), teacher)
        made = student.network(network).model.get_input_embeddings().weight
        ours, theirs = student.tokenizer.get_vocab()["wonderful"], teacher.tokenizer.get_vocab()["wonderful"]
        assert torch.equal(made[ours], network.model.get_input_embeddings().weight[theirs])

    def test_they_can_come_from_a_file(self, teacher, tmp_path):
        path = tmp_path / "vectors.txt"
        path.write_text("wonderful 1 2 3\n")
        blueprint = BiLSTM(embeddings=str(path), embedding_size=3)
        table = self.table(blueprint, teacher)
        assert table[draft(blueprint, teacher).tokenizer.get_vocab()["wonderful"]].tolist() == [1, 2, 3]
        assert draft(blueprint, teacher).origin == f"embeddings from {path}"

    def test_the_teachers_table_is_not_changed_by_the_student(self, teacher):
        network = teacher.network()
        before = network.model.get_input_embeddings().weight.clone()
        with torch.no_grad():
            draft(BiLSTM(), teacher).network(network).model.get_input_embeddings().weight.zero_()
        assert torch.equal(network.model.get_input_embeddings().weight, before)


@pytest.mark.parametrize(
    ("blueprint", "message"),
    [
        (BiLSTM(vocabulary="letters"), r"student\.vocabulary: 'letters' is none of data, teacher, words"),
        (BiLSTM(embedding_size=33), r"student\.embedding_size: 33 is wider than the teacher's 32"),
        (BiLSTM(embeddings="random"), r"student\.embedding_size: must be given with student\.embeddings=random"),
        (CNNLSTM(embeddings="vectors.txt"), r"student\.embeddings: vectors\.txt: no such file"),
        (CNNLSTM(embeddings=__file__), r"student\.embedding_size: must be given .*=.*\.py"),
    ],
)
def test_a_student_that_cannot_be_is_refused_by_the_name_of_the_setting(teacher, blueprint, message):
    with pytest.raises(UserError, match=message):
        draft(blueprint, teacher)


@pytest.mark.parametrize(
    ("blueprint", "message"),
    [
        (BiLSTM(), r"student\.vocabulary: there is no teacher .*student\.vocabulary=words"),
        (BiLSTM(vocabulary="words"), r"student\.embeddings: there is no teacher .*student\.embeddings=random"),
    ],
)
def test_without_teacher_a_student_must_not_need_one(blueprint, message):
    with pytest.raises(UserError, match=message):
        draft(blueprint, None)


def test_students_with_the_teachers_words_share_its_encoding(teacher):
    shared = fingerprint.of_tokenizer(teacher.tokenizer)
    students = [BiLSTM(vocabulary="teacher"), CNNLSTM(vocabulary="teacher"), SmallTransformer()]
    assert {draft(student, teacher).spec.tokenizer for student in students} == {shared}


@pytest.mark.parametrize("kind", [BiLSTM, CNNLSTM])
def test_students_with_some_of_the_teachers_words_cut_the_texts_at_its_places(kind, teacher):
    student = draft(kind(), teacher)
    assert student.spec.tokenizer == fingerprint.of_tokenizer(student.tokenizer) != teacher.spec.tokenizer
    assert student.spec.segmentation == teacher.spec.segmentation == teacher.spec.tokenizer
    for text in TEXTS:
        assert student.tokenizer.tokenize(text) == teacher.tokenizer.tokenize(text)


@pytest.mark.parametrize("kind", [BiLSTM, CNNLSTM])
def test_students_with_words_of_their_own_cut_the_texts_elsewhere(kind, teacher):
    spec = draft(kind(vocabulary="words", vocabulary_size=2), teacher).spec
    assert spec.segmentation == spec.tokenizer != teacher.spec.segmentation


def test_each_student_says_where_it_starts_from(teacher):
    assert draft(BiLSTM(), teacher).origin == "embeddings from teacher"
    assert draft(STUDENTS["bilstm, alone"], None).origin == "random weights"
    assert draft(SmallTransformer(intermediate_size=64), teacher).origin == "the teacher's layers 0, 3"


@pytest.mark.parametrize("value", ["yes", True, "viterbi"])
def test_a_chain_of_tags_hands_over_marginals_or_emissions(value):
    with pytest.raises(UserError, match=r"student\.crf: .* is none of marginals, emissions, null"):
        BiLSTM(crf=value)

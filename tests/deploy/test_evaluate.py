import csv

import pytest
import torch
from datasets import Dataset

from data.classification import Classification
from data.examples import Split, prepare
from data.sources import Columns, Files
from data.tokenization import TrainingTexts
from deploy.evaluate import comparison, evaluate, typical_rows, write_predictions
from models.bilstm import BiLSTM
from models.sources import Folder
from models.transformer import Pretrained

LABELS = ("bad", "good")


@pytest.fixture(scope="module")
def examples(folder, cache):
    source = Files(train=f"{folder}/train.csv", validation=f"{folder}/validation.csv", test=f"{folder}/test.csv")
    return prepare(source.read(Columns("sentence", "label"), cache), Split())


@pytest.fixture(scope="module")
def networks(fine_tuned):
    draft = Pretrained(Folder(str(fine_tuned))).draft(LABELS)
    words = BiLSTM(hidden_size=4, vocabulary="words", embeddings="random", embedding_size=4)
    corpus = TrainingTexts(Dataset.from_dict({"text": ["a wonderful film", "its plot is dull"]}), 32)
    return {"teacher": draft.network(), "student": words.draft(LABELS, corpus=corpus).network()}


def measure(networks, examples, task):
    return evaluate(networks, examples, task, max_length=32, batch_size=16, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def evaluated(networks, examples):
    return measure(networks, examples, Classification(LABELS))


def figures(score=0.8, parameters=1000, one=2.0, many=10.0):
    return {"score": score, "parameters": parameters, "megabytes": 1.0, "latency_ms": {"1": one, "32": many}}


class TestEvaluate:
    def test_every_role_has_its_figures(self, evaluated):
        found, _ = evaluated
        assert set(found) == {"teacher", "student"}
        for role in found.values():
            assert set(role) == {"score", "scores", "parameters", "megabytes", "latency_ms"}
            assert role["scores"]["accuracy"] == role["score"]
            assert set(role["latency_ms"]) == {"1", "32"}
            assert all(milliseconds > 0 for milliseconds in role["latency_ms"].values())

    def test_probabilities_belong_to_the_test_rows(self, evaluated, networks, examples):
        _, probabilities = evaluated
        teacher = networks["teacher"].eval()
        text = examples.test["text"][7]
        batch = {teacher.spec.tokenizer: teacher.tokenizer([text], return_tensors="pt")}
        with torch.no_grad():
            expected = teacher(batch).logits.softmax(-1)[0]
        torch.testing.assert_close(probabilities["teacher"][7], expected, atol=1e-5, rtol=1e-4)
        assert [tuple(row.shape) for row in probabilities["student"]] == [(2,)] * 48

    def test_the_score_is_that_of_the_most_probable_classes(self, evaluated, examples):
        found, probabilities = evaluated
        for role in found:
            right = torch.stack(probabilities[role]).argmax(-1) == torch.tensor(examples.test["label"])
            assert found[role]["score"] == pytest.approx(right.float().mean().item())
        assert found["teacher"]["score"] > 0.9

    def test_the_score_is_the_one_that_the_task_names(self, networks, examples):
        task = Classification(LABELS, "matthews_correlation")
        found, probabilities = measure({"student": networks["student"]}, examples, task)
        labels, said = torch.tensor(examples.test["label"]), torch.stack(probabilities["student"])
        expected = task.metrics()(said, labels)["matthews_correlation"].item()
        assert found["student"]["score"] == pytest.approx(expected)
        assert expected != (said.argmax(-1) == labels).float().mean().item()


class TestTypicalRows:
    def test_they_are_the_middle_ones_by_length(self):
        assert typical_rows([9, 1, 5, 7, 3], 1) == [2]
        assert typical_rows([9, 1, 5, 7, 3], 3) == [4, 2, 3]

    def test_all_are_taken_where_there_are_too_few(self):
        assert typical_rows([9, 1, 5], 32) == [1, 2, 0]


class TestComparison:
    def test_with_teacher_and_baseline(self):
        roles = {"student": figures(0.8, 100, 2, 8), "teacher": figures(0.9, 1000, 6, 80), "baseline": figures(0.75)}
        assert comparison(roles) == {
            "retention": pytest.approx(8 / 9),
            "kd_gain": pytest.approx(0.05),
            "compression": 10,
            "speedup": {"1": 3, "32": 10},
        }

    def test_without_teacher(self):
        said = comparison({"student": figures(0.8), "baseline": figures(0.9)})
        assert said["kd_gain"] == pytest.approx(-0.1)
        assert said["retention"] is said["compression"] is said["speedup"] is None

    def test_without_baseline(self):
        said = comparison({"student": figures(), "teacher": figures()})
        assert said["kd_gain"] is None
        assert said["retention"] == 1

    def test_alone(self):
        assert set(comparison({"student": figures()}).values()) == {None}

    def test_a_baseline_that_scores_nothing_is_still_compared_with(self):
        assert comparison({"student": figures(0.8), "baseline": figures(0.0)})["kd_gain"] == 0.8

    def test_a_teacher_that_scores_nothing_has_no_score_to_keep(self):
        """Matthews correlation is zero for a teacher that always says the same."""
        said = comparison({"student": figures(0.1), "teacher": figures(0.0)})
        assert said["retention"] is None
        assert said["speedup"] == {"1": 1, "32": 1}


class TestPredictions:
    @pytest.fixture
    def rows(self, examples, tmp_path):
        probabilities = torch.tensor([[0.25, 0.75], [2 / 3, 1 / 3]] * 24)
        write_predictions(tmp_path / "predictions.csv", examples, Classification(LABELS), probabilities)
        with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def test_there_is_a_line_for_each_test_row_in_their_order(self, rows, examples):
        assert [int(row["id"]) for row in rows] == examples.test["id"][:]
        assert [row["label"] for row in rows] == [LABELS[label] for label in examples.test["label"]]

    def test_a_line_has_the_most_probable_class_and_the_probability_of_each(self, rows):
        assert list(rows[0]) == ["id", "label", "prediction", "bad", "good"]
        assert [rows[0][name] for name in ("prediction", "bad", "good")] == ["good", "0.2500000", "0.7500000"]
        assert [rows[1][name] for name in ("prediction", "bad", "good")] == ["bad", "0.6666667", "0.3333333"]

    def test_the_scores_can_be_worked_out_from_it(self, rows, examples):
        hits = sum(row["label"] == row["prediction"] for row in rows)
        expected = sum(label == number % 2 ^ 1 for number, label in enumerate(examples.test["label"]))
        assert hits == expected

    def test_rows_and_probabilities_must_be_equally_many(self, examples, tmp_path):
        with pytest.raises(ValueError, match="shorter"):
            write_predictions(tmp_path / "predictions.csv", examples, Classification(LABELS), torch.zeros(3, 2))

    def test_class_names_with_commas_survive(self, tmp_path):
        rows = {"text": ["s", "t"], "label": ["yes, indeed", 'no "never"'], "group": [None] * 2, "where": ["a", "b"]}
        rows |= {"id": [1, 2], "loose_id": [1, 2]}
        table = Dataset.from_dict(rows, features=Columns("text").features)
        examples = prepare(dict.fromkeys(("train", "validation", "test"), table), Split())
        write_predictions(tmp_path / "p.csv", examples, Classification(examples.labels), torch.eye(2))
        with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
            (first, second) = csv.DictReader(file)
        assert (first["label"], second["label"]) == ("yes, indeed", 'no "never"')
        assert (first["prediction"], second["prediction"]) == ('no "never"', "yes, indeed")

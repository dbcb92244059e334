import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from data.columns import Lists, Numbers, pieces

ROWS = {"number": [5, 2**63 - 1, 7, -100], "ids": [[1, 2], [3], [], [4, 5, 6]]}


@pytest.fixture(params=["memory", "disk", "parts", "chosen"])
def table(request, tmp_path):
    table = Dataset.from_dict(ROWS)
    if request.param == "disk":
        table.save_to_disk(str(tmp_path))
        return Dataset.load_from_disk(str(tmp_path))
    if request.param == "parts":
        return concatenate_datasets([Dataset.from_dict(table[:1]), Dataset.from_dict(table[1:])])
    if request.param == "chosen":
        return Dataset.from_dict({name: values[::-1] for name, values in ROWS.items()}).select([3, 2, 1, 0])
    return table


def test_numbers_come_in_the_order_asked_for(table):
    numbers = Numbers(table, "number")
    assert len(numbers) == 4
    assert numbers[[3, 1, 1]].tolist() == [-100, 2**63 - 1, 2**63 - 1]
    assert numbers[np.array([0, 2])].tolist() == [5, 7]
    assert numbers[[]].tolist() == []


def test_lists_come_in_the_order_asked_for(table):
    assert [row.tolist() for row in Lists(table, "ids")[[3, 0, 2, 1]]] == [[4, 5, 6], [1, 2], [], [3]]


def test_pieces_cover_a_range_once():
    assert [piece.tolist() for piece in pieces(5, 2)] == [[0, 1], [2, 3], [4]]
    assert list(pieces(0)) == []

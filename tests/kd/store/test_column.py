import pickle

import numpy as np
import pytest
import torch

from kd.store import files
from kd.store.column import Column
from potstill.errors import UserError


def rows_of(ids):
    """A row of one token for odd ids, of two for even ones; two numbers a token."""
    return [torch.full((2 * length(number),), float(number)) for number in ids]


def length(number):
    return 2 - number % 2


def append(column, ids):
    rows = rows_of(ids)
    column.append(np.array(ids), np.array([len(row) for row in rows]), torch.cat(rows), (-1, 2))


def filled(folder, *shards):
    column = Column(folder / "column")
    for ids in shards:
        append(column, ids)
    column.index()
    return column


def read(column, ids):
    lengths = [length(number) for number in ids]
    batch = column.read(np.array(ids), lengths, 2)
    assert batch.shape == (len(ids), 2, 2)
    return [row[:count].unique().tolist() for row, count in zip(batch, lengths, strict=True)]


def test_rows_are_found_in_any_order_and_shard(tmp_path):
    column = filled(tmp_path, [7, 3, 2**62], [4, 1])
    assert len(column) == 5
    assert read(column, [1, 2**62, 7, 1]) == [[1], [2**62], [7], [1]]


def test_what_is_missing_is_told(tmp_path):
    column = filled(tmp_path, [7, 3], [4])
    assert column.missing(np.array([3, 5, 7, 9, 0])).tolist() == [False, True, False, True, True]
    assert Column(tmp_path / "none").missing(np.array([1, 2])).tolist() == [True, True]


def test_what_was_appended_is_seen_once_it_is_indexed(tmp_path):
    column = filled(tmp_path, [1])
    append(column, [2])
    assert Column(column.folder).missing(np.array([1, 2])).tolist() == [False, True]
    column.index()
    assert Column(column.folder).missing(np.array([1, 2])).tolist() == [False, False]


def test_a_row_that_was_written_twice_is_there_once(tmp_path):
    column = filled(tmp_path, [1, 2], [2, 3])
    assert len(column) == 3
    assert read(column, [2]) == [[2]]


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


HARMS = {
    "first byte": lambda path: flipped(path, 0),
    "header": lambda path: flipped(path, 12),
    "last byte": lambda path: flipped(path, -1),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_shard_is_named_and_its_rows_alone_are_missing(tmp_path, harm):
    folder = filled(tmp_path, [1, 2], [3]).folder
    shard = next(path for path in Column(folder).shards() if 3 in files.read(path)[0]["ids"])
    HARMS[harm](shard)
    column = Column(folder)
    assert column.check() == [shard]
    assert column.missing(np.array([1, 2, 3])).tolist() == [False, False, True]
    assert column.check() == []
    append(column, [3])
    column.index()
    assert read(Column(folder), [3, 1]) == [[3], [1]]


def test_a_shard_that_is_gone_is_as_good_as_never_written(tmp_path):
    """As after a kill right behind the setting aside of a damaged one."""
    folder = filled(tmp_path, [1, 2], [3]).folder
    shard = next(path for path in Column(folder).shards() if 3 in files.read(path)[0]["ids"])
    shard.unlink()
    column = Column(folder)
    assert column.check() == []
    assert column.missing(np.array([1, 2, 3])).tolist() == [False, False, True]


def test_rows_that_are_not_there_are_never_read(tmp_path):
    """Another row's values would pass unnoticed."""
    column = filled(tmp_path, [1, 5])
    for ids in ([3, 1], [9], [0]):
        with pytest.raises(UserError, match="lacks rows that a run counts on"):
            column.read(np.array(ids), [1] * len(ids), 2)


@pytest.mark.parametrize("harm", [*HARMS, "gone", "older"])
def test_an_index_that_does_not_fit_is_made_anew(tmp_path, harm):
    column = filled(tmp_path, [1, 2])
    index = column.folder / "index.safetensors"
    if harm == "gone":
        index.unlink()
    elif harm == "older":
        append(column, [5])
    else:
        HARMS[harm](index)
    column = Column(column.folder)
    assert column.check() == []
    assert not column.missing(np.array([1, 2])).any()
    assert column.missing(np.array([5])).item() == (harm != "older")


def test_another_process_maps_the_files_itself(tmp_path):
    column = filled(tmp_path, [1, 2])
    sent = pickle.dumps(column)
    assert len(sent) < 1000
    assert read(pickle.loads(sent), [2]) == [[2]]


def test_rows_of_one_size_need_no_lengths(tmp_path):
    column = Column(tmp_path)
    column.append(np.array([5, 6]), np.array([2, 2]), torch.tensor([1.0, 2.0, 3.0, 4.0]), (2,))
    column.index()
    assert column.read(np.array([6, 5]), [9, 9], 9).tolist() == [[3, 4], [1, 2]]

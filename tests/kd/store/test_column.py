import pickle

import numpy as np
import pytest
import torch

from kd.store import files
from kd.store.column import Column


def rows_of(ids):
    """A row of one token for odd ids, of two for even ones; two numbers a token."""
    return [torch.full((2 * length(number),), float(number)) for number in ids]


def length(number):
    return 2 - number % 2


def filled(folder, *shards):
    column = Column(folder / "column")
    for ids in shards:
        column.append(ids, rows_of(ids), (-1, 2))
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
    column.append([2], rows_of([2]), (-1, 2))
    assert Column(column.folder).missing(np.array([1, 2])).tolist() == [False, True]
    column.index()
    assert Column(column.folder).missing(np.array([1, 2])).tolist() == [False, False]


def test_a_row_that_was_written_twice_is_there_once(tmp_path):
    column = filled(tmp_path, [1, 2], [2, 3])
    assert len(column) == 3
    assert read(column, [2]) == [[2]]


@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_damaged_shard_is_named_and_its_rows_alone_are_missing(tmp_path, place):
    column = filled(tmp_path, [1, 2], [3])
    shard = next(path for path in column.shards() if 3 in files.read(path)[0]["ids"])
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    assert column.check() == [shard]
    assert column.missing(np.array([1, 2, 3])).tolist() == [False, False, True]
    assert column.check() == []
    column.append([3], rows_of([3]), (-1, 2))
    column.index()
    assert read(column, [3, 1]) == [[3], [1]]


@pytest.mark.parametrize("harm", ["damaged", "gone", "older"])
def test_an_index_that_does_not_fit_is_made_anew(tmp_path, harm):
    column = filled(tmp_path, [1, 2])
    index = column.folder / "index.safetensors"
    if harm == "damaged":
        content = bytearray(index.read_bytes())
        content[-3] ^= 1
        index.write_bytes(content)
    elif harm == "gone":
        index.unlink()
    else:
        column.append([5], rows_of([5]), (-1, 2))
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
    column.append([5, 6], [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], (2,))
    column.index()
    assert column.read(np.array([6, 5]), [9, 9], 9).tolist() == [[3, 4], [1, 2]]

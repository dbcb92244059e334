import bz2
import csv
import gzip
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.readers import read_rows
from potstill.errors import UserError

ROWS = [{"text": "a fine film", "label": "good"}, {"text": "größer, “better”", "label": "bad"}]


def delimited(delimiter):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["text", "label"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return buffer.getvalue().encode()


CONTENT = {
    "csv": delimited(","),
    "tsv": "text\tlabel\na fine film\tgood\ngrößer, “better”\tbad\n".encode(),
    "json": json.dumps(ROWS).encode(),
    "jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
}
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}


def read(path):
    return [row for _, row in read_rows(path)]


def places(path):
    return [where.removeprefix(str(path)) for where, _ in read_rows(path)]


def refusal(path):
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)
    return str(caught.value).removeprefix(str(path))


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("kind", CONTENT)
def test_every_kind_of_text_file_gives_the_same_rows(tmp_path, kind, packed):
    assert read(written(tmp_path / f"rows.{kind}{packed}", PACK[packed](CONTENT[kind]))) == ROWS


def test_parquet_gives_the_same_rows(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet") == ROWS


def test_parquet_rows_are_numbered_across_row_groups(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS * 3), path, row_group_size=2)
    assert places(path) == [f": row {number}" for number in range(1, 7)]


def test_the_path_may_be_a_string(tmp_path):
    assert read(str(written(tmp_path / "rows.csv", CONTENT["csv"]))) == ROWS


@pytest.mark.parametrize("kind", CONTENT)
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, kind):
    assert read(written(tmp_path / f"rows.{kind}", b"\xef\xbb\xbf" + CONTENT[kind])) == ROWS


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_windows_line_ends_change_nothing(tmp_path, kind):
    content = CONTENT[kind].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    path = written(tmp_path / f"rows.{kind}", content)
    assert read(path) == ROWS
    assert places(path) == ([":1", ":2"] if kind == "jsonl" else [":2", ":3"])


def test_a_row_after_quoted_newlines_is_named_by_the_line_it_starts_in(tmp_path):
    path = written(tmp_path / "rows.csv", 'text,label\n"one\ntwo\r\nthree",a\nfour,b\n"five\n",c\n')
    assert places(path) == [":2", ":5", ":6"]
    assert read(path)[0] == {"text": "one\ntwo\r\nthree", "label": "a"}


def test_csv_takes_doubled_quotes_for_one(tmp_path):
    assert read(written(tmp_path / "rows.csv", 'text\n"he said ""no"", twice"\n')) == [{"text": 'he said "no", twice'}]


def test_tsv_knows_no_quoting(tmp_path):
    path = written(tmp_path / "rows.tsv", 'text\tlabel\n"an open quote\ta\n"closed"\tb\n')
    assert read(path) == [{"text": '"an open quote', "label": "a"}, {"text": '"closed"', "label": "b"}]


def test_blank_lines_are_passed_over_and_still_counted(tmp_path):
    path = written(tmp_path / "rows.csv", "text,label\n\na,b\n\n\nc,d\n")
    assert places(path) == [":3", ":6"]
    path = written(tmp_path / "rows.jsonl", '\n{"text": "a"}\n  \n{"text": "b"}\n')
    assert places(path) == [":2", ":4"]


@pytest.mark.parametrize(("fields", "line"), [(1, "only one"), (3, "a,b,c")])
def test_a_ragged_row_is_named_by_file_and_line(tmp_path, fields, line):
    path = written(tmp_path / "rows.csv", f'text,label\n"two\nlines",x\n{line}\n')
    assert refusal(path) == f":4: {fields} fields, where the header has 2"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_binary_file_is_named_by_the_line_of_its_first_nul(tmp_path, kind):
    path = written(tmp_path / f"rows.{kind}", b"text\n" * (kind != "jsonl") + b'"a"\n\x00\x01\n')
    if kind == "jsonl":
        path = written(path, b'{"text": "a"}\n{"text": "b"}\n\x00\x01\n')
    assert refusal(path) == ":3: not text but binary data"


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("before", [1, 5000])
def test_bytes_that_are_not_utf8_are_named_by_their_line(tmp_path, before, packed):
    content = b"text\n" + b"a line of some words\n" * before + b"caf\xe9\n" + b"more\n" * 9
    path = written(tmp_path / f"rows.csv{packed}", PACK[packed](content))
    assert refusal(path) == f":{before + 2}: not UTF-8 text (byte 0xe9)"


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "txt"])
def test_rows_beside_one_with_nul_can_be_kept(tmp_path, kind):
    begin, row = (b"", b'{"text": "%s"}\n') if kind == "jsonl" else (b"text\n" * (kind != "txt"), b"%s\n")
    path = written(tmp_path / f"rows.{kind}", begin + b"".join(row % text for text in (b"one", b"t\0wo", b"three")))
    errors = []
    assert [row["text"] for _, row in read_rows(path, errors.append)] == ["one", "three"]
    assert [str(error) for error in errors] == [f"{path}:{2 + (begin != b'')}: not text but binary data"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"text,caf\xe9", "not UTF-8 text (byte 0xe9)"),
        (b"PK\x03\x04\x14\0", "not text but binary data"),
        (b'"text"s,label', "',' expected after '\"'"),
        (b"text,text", "2 columns are called 'text'; rename all but one"),
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path, header, reason):
    path = written(tmp_path / "rows.csv", header + b"\na,b\n")
    with pytest.raises(UserError) as caught:
        list(read_rows(path, on_error=[].append))
    assert str(caught.value) == f"{path}:1: {reason}"


def test_latin1_json_is_refused_with_its_row(tmp_path):
    path = written(tmp_path / "rows.json", b'[{"text": "a"},\n{"text": "caf\xe9"}]')
    assert refusal(path) == ": row 2: not UTF-8 text (byte 0xe9)"


def test_rows_beside_one_that_is_not_utf8_can_be_kept(tmp_path):
    errors = []
    for kind, begin in (("csv", b"text\n"), ("txt", b""), ("tsv", b"text\n")):
        path = written(tmp_path / f"rows.{kind}", begin + b"one\ncaf\xe9\nthree\n")
        assert [row["text"] for _, row in read_rows(path, errors.append)] == ["one", "three"]
    path = written(tmp_path / "rows.conll", b"one O\n\ncaf\xe9 O\n\nthree O\n")
    assert [row["tokens"] for _, row in read_rows(path, errors.append)] == [["one"], ["three"]]
    assert [str(error).rpartition("/")[2].partition(":")[0] for error in errors] == [
        f"rows.{kind}" for kind in ("csv", "txt", "tsv", "conll")
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('"open,a\nb,c\nd",e,f', "3 fields over 3 lines, where the header has 2"),
        ('"open,a\nb,c\n"d",e', "',' expected after '\"' over 3 lines"),
        ('"open,a\nb,c', "unexpected end of data over 2 lines"),
    ],
)
def test_a_quote_that_is_not_closed_is_named_with_the_lines_it_takes(tmp_path, rows, reason):
    assert refusal(written(tmp_path / "rows.csv", f"text,label\n{rows}\n")) == f":2: {reason}"


def test_a_broken_json_line_is_named(tmp_path):
    path = written(tmp_path / "rows.jsonl", '{"text": "a"}\n{"text": "b"\n')
    assert refusal(path).startswith(":2: not JSON: ")


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5_000])
def test_a_json_line_that_is_too_deep_or_too_long_leaves_the_others(tmp_path, value):
    path = written(tmp_path / "rows.jsonl", f'{{"text": "a"}}\n{{"text": {value}}}\n{{"text": "b"}}\n')
    errors = []
    assert [row["text"] for _, row in read_rows(path, errors.append)] == ["a", "b"]
    assert [str(error).partition(" JSON: ")[0] for error in errors] == [f"{path}:2: not"]


def test_a_json_line_that_is_no_object_is_named(tmp_path):
    path = written(tmp_path / "rows.jsonl", '{"text": "a"}\n["b"]\n')
    assert refusal(path) == ":2: an object was expected, not list"


def test_a_json_file_must_hold_a_list(tmp_path):
    assert "a list of objects was expected" in refusal(written(tmp_path / "rows.json", '{"text": "a"}'))


def test_an_item_of_a_json_list_that_is_no_object_is_named(tmp_path):
    assert refusal(written(tmp_path / "rows.json", '[{"text": "a"}, 3]')) == ": row 2: an object was expected, not int"


def test_json_lines_in_a_file_called_json_are_refused(tmp_path):
    assert refusal(written(tmp_path / "rows.json", CONTENT["jsonl"])).startswith(": not JSON: ")


@pytest.mark.parametrize(("name", "kind"), [("rows.xlsx", "'.xlsx'"), ("rows", "''"), ("rows.doc.gz", "'.doc'")])
def test_an_unknown_kind_is_refused_with_those_known(tmp_path, name, kind):
    message = refusal(written(tmp_path / name, "text\na\n"))
    assert kind in message
    assert "csv" in message
    assert "parquet" in message


def test_a_missing_file_is_named(tmp_path):
    assert refusal(tmp_path / "nowhere.csv") == ": no such file"


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "rows.csv").mkdir()
    assert refusal(tmp_path / "rows.csv") == ": is a folder, not a file"


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz"])
def test_an_empty_table_is_refused(tmp_path, name):
    path = written(tmp_path / name, gzip.compress(b"") if name.endswith("gz") else b"")
    assert refusal(path) == ": empty, where a header line was expected"


def test_an_empty_json_file_is_refused(tmp_path):
    assert refusal(written(tmp_path / "rows.json", "")).startswith(": not JSON")


def test_a_header_alone_gives_no_rows(tmp_path):
    assert read(written(tmp_path / "rows.csv", "text,label\n")) == []


def test_parquet_that_is_not_parquet_is_refused(tmp_path):
    assert "arquet" in refusal(written(tmp_path / "rows.parquet", "text,label\na,b\n"))


def test_a_damaged_parquet_file_is_not_called_text(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS * 500), path)
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(byte ^ 0xFF for byte in content[4:40])
    assert "UTF-8" not in refusal(written(path, bytes(content)))


@pytest.mark.parametrize("packed", [".gz", ".bz2"])
def test_a_compressed_file_that_breaks_off_is_refused(tmp_path, packed):
    whole = PACK[packed](b"text\n" + b"".join(b"%d\n" % number for number in range(20_000)))
    path = written(tmp_path / f"rows.csv{packed}", whole[: len(whole) // 2])
    assert re.match(": Compressed file ended", refusal(path))


def test_a_file_that_only_claims_to_be_compressed_is_refused(tmp_path):
    assert refusal(written(tmp_path / "rows.csv.gz", CONTENT["csv"])).startswith(": Not a gzipped file")


def test_a_damaged_gz_file_is_refused(tmp_path):
    header, kind_that_does_not_exist = gzip.compress(CONTENT["csv"])[:10], b"\x07"
    refusal(written(tmp_path / "rows.csv.gz", header + kind_that_does_not_exist * 50))


def test_a_line_of_fifty_thousand_words_is_read_whole(tmp_path):
    """The csv module by itself stops at fields of 131,072 characters."""
    text = " ".join(f"word{number}" for number in range(50_000))
    assert read(written(tmp_path / "rows.csv", f"text,label\n{text},a\n")) == [{"text": text, "label": "a"}]


CONLL = "-DOCSTART- -X- O\n\n# a comment\nEU\tNNP\tB-ORG\nrejects\tVBZ\tO\n\n\nPeter\tNNP\tB-PER\n"
CONLLU = """# text = don't go
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
2.1\tx\tx\tX\tX\t_\t_\t_\t_\t_
3\t10 000\tgo\tVERB\tVB\t_\t0\troot\t_\t_
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_sentences_of_conll(tmp_path, newline, begin):
    path = tmp_path / "a.conll"
    path.write_text(begin + CONLL, newline=newline, encoding="utf-8")
    assert list(read_rows(path)) == [
        (f"{path}:4", {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}),
        (f"{path}:8", {"tokens": ["Peter"], "tags": ["B-PER"]}),
    ]


def test_sentences_of_universal_dependencies(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    ((where, row),) = read_rows(path)
    assert where == f"{path}:2"
    assert row["tokens"] == ["do", "n't", "10_000"]
    assert row["tags"] == ["AUX", "PART", "VERB"]
    assert row["relations"] == ["aux", "advmod", "root"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.conll", "one\tO\ntwo\n", r"a.conll:2: 1 columns, where its sentence begins with 2"),
        ("a.conll", "one\n", r"a.conll:1: 1 columns"),
        ("a.conllu", "1\tone\n", r"a.conllu:1: 2 columns, where CoNLL-U has 10"),
    ],
)
def test_a_ragged_sentence_is_named(tmp_path, name, text, reason):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        list(read_rows(path))


def test_a_word_may_begin_with_the_mark_of_a_comment(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("# a comment of a file\nsee O\n#film B-tag\n\n# B-NP\n3 I-NP\n", encoding="utf-8")
    rows = [row["tokens"] for _, row in read_rows(path)]
    assert rows == [["see", "#film"], ["#", "3"]]


def test_a_trailing_tab_is_no_tag(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("EU\tB-ORG \nrejects\t\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"a.conll:2: 2 columns"):
        list(read_rows(path))

"""Long texts and large records: a look-up returns few bytes of them."""

import pyarrow as pa
import pyarrow.parquet as pq

from fanfold.queries.dataset import rows_of
from fanfold.queries.items import SHOWN_BYTES, Some
from fanfold.queries.values import MAX_TEXT


def test_long_texts_of_a_table_are_cut(tmp_path):
    path = tmp_path / "texts.parquet"
    pq.write_table(
        pa.table({"text": ["é" * MAX_TEXT, "é" * 1_000_000], "list": [["x"], ["x" * 9_999]]}), path
    )
    (fits, cut) = rows_of("texts", path, offset=0, limit=5).page
    assert fits == ["é" * MAX_TEXT, ["x"]]
    assert cut == [f"{'é' * MAX_TEXT}…", [f"{'x' * MAX_TEXT}…"]]


def test_of_large_records_the_first_ones_are_returned_and_all_are_counted():
    line = b'{"record": "' + b"x" * (SHOWN_BYTES // 2) + b'"}'
    found = Some.of(iter([line] * 3), lambda line: line["record"])
    assert (found.count, len(found.first)) == (3, 1)
    assert Some.of(iter([b"7"] * 3), int) == Some(3, (7, 7, 7))

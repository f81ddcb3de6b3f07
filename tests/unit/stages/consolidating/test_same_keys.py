"""Items that give rows with the same key: one row where they are one thing, and never without a word."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from fanfold.model import RunStatus
from fanfold.stages.consolidating.notes import repeated_text, same_text
from fanfold.workspace.files import read_jsonl
from fanfold.workspace.same import SAME


def line(order, number=1, price="1.5", tags=()):
    return {"order_id": order, "line": number, "price": price, "tags": tags}


def kept(run):
    """Order, line and price of the rows in the dataset."""
    rows = pq.read_table(run.workspace.table("order_lines")).to_pylist()
    return [(row["order_id"], row["line"], f"{row['price']:.1f}") for row in rows]


def told(run):
    """The number of each item that is noted, that of the one that it is the same as, and whether it differs."""
    path = run.workspace.dataset / SAME
    numbers = {f"file-{number}.csv": number for number in range(9)}
    return [
        (numbers[found["item"]], numbers[found["same_as"]], found["differs"])
        for found in (read_jsonl(path) if path.exists() else ())
    ]


A, A2, B = ("a", 1, "1.5"), ("a", 1, "2.0"), ("b", 1, "1.5")
C = ("c", 1, "1.5")
ONE, OTHER = line("a"), line("a", price="2.0")
CASES = {
    "another name of an item": ([[ONE], [line("b")], [ONE]], [A, B], [(2, 0, False)], 0),
    "changed between two requests": (
        [[ONE], [OTHER], [ONE]], [A], [(1, 0, True), (2, 0, False)], 0
    ),
    "rows in two files": (
        [[ONE, line("b")], [line("b"), line("c")]], [A, B, C], [(1, 0, False)], 0
    ),
    "one of several rows differs": ([[ONE], [OTHER, line("b")]], [A, A2, B], [], 1),
    "null and empty lists are different": (
        [[line("a", tags=None)], [line("a", tags=[]), line("b")]], [A, A, B], [], 1
    ),
    "rows of one item": ([[ONE, ONE], [line("b")]], [A, A, B], [], 1),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("case", CASES)
def test_rows_of_items_with_the_same_key(orders, case, size):
    fates, rows, notes, repeated = CASES[case]
    run = orders([*fates, "missing"], batch_size=size)
    manifest = run.consolidate()
    assert kept(run) == rows
    assert told(run) == notes
    differing = sum(differs for *_, differs in notes)
    assert (manifest.same, manifest.differing) == (len(notes), differing)
    assert (manifest.repeated, manifest.rows) == (repeated, len(rows))
    # Both items are ok: nothing is lost.
    assert (manifest.status, manifest.counts.ok) == (RunStatus.COMPLETE, len(fates))
    assert (SAME in {entry.key for entry in manifest.files}) == bool(notes)


def test_what_is_left_out_is_told_and_forgotten_once_it_is_mended(orders):
    run = orders([[line("a")], [line("a", price="2.0")]])
    manifest = run.consolidate()
    assert same_text(manifest).startswith(
        "1 row has the key of an earlier item's row, 1 of them with"
    )
    assert repeated_text(manifest, run.loaded.pipeline) == ""
    batch = run.workspace.batch(0)
    batch.write_part(2, [(batch.outcomes()["file-1.csv"], [line("b")])], "5eed5eed")
    assert same_text(run.consolidate()) == ""
    assert (kept(run), told(run)) == ([A, B], [])

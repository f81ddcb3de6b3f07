"""An item is suggested by its key, and by the label of its row."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.model import Basis, Forecast, KeyForm, Outcome, Plan, Status
from fanfold.queries.item_history import item_history
from fanfold.queries.suggestions import suggest
from fanfold.workspace.batch import ITEM
from fanfold.workspace.files import write_json, write_jsonl
from fanfold.workspace.history import Past
from fanfold.workspace.items import json_lines
from fanfold.workspace.key_index import index_writer
from fanfold.workspace.paths import Workspace

NAMES = {"11": "Ada Lovelace", "12": None, "2": "ada%", "3": "小明 11"}
PLAN = Plan(
    *("users", 6, 0, (0, 3), "", "", Forecast(6, 1, Basis.UNKNOWN)),
    dataset="users",
    row_key=("source", "id"),
    key_column="id",
    key_form=KeyForm("@"),
    label="name",
    measure="followers",
)


def consolidated(root, followers=1):
    """A run of six users: two have no row, one of them failed; the last one is not processed."""
    run = Workspace(root)
    write_json(run.plan, PLAN.as_json())
    keys = [*NAMES, "13", "14"]
    with index_writer(run.keys) as add:
        add([json_lines([key]) for key in keys])
    found = pa.table(
        {"id": list(NAMES), "name": list(NAMES.values()), "followers": [followers] * len(NAMES)}
    )
    run.dataset.mkdir()
    pq.write_table(found, run.table("users"), row_group_size=2)
    for number, own in enumerate((keys[:3], keys[3:])):
        batch = run.batch(number)
        done = [(Outcome(key, Status.OK), [{}]) for key in own if key in NAMES]
        failed = [(Outcome(key, Status.FAILED, "busy"), None) for key in own if key == "13"]
        batch.write_part(1, [*done, *failed])
        batch.rows_file.parent.mkdir(exist_ok=True)
        rows = found.filter(pa.compute.is_in(found["id"], pa.array(own)))
        pq.write_table(rows.append_column(ITEM, rows["id"]), batch.rows_file)
        write_jsonl(batch.failed_file, [outcome.as_json() for outcome, _ in failed])
    return run


@pytest.mark.parametrize(
    ("typed", "expected"),
    {
        "11": [("11", "Ada Lovelace", "ok"), ("3", "小明 11", "ok")],
        "@1": [("11", "Ada Lovelace", "ok"), ("12", None, "ok"), ("13", None, "failed"), ("14", None, "waiting")],
        "ADA": [("11", "Ada Lovelace", "ok"), ("2", "ada%", "ok")],
        "%": [("2", "ada%", "ok")],
        "小": [("3", "小明 11", "ok")],
        "nobody": [],
    }.items(),
)  # fmt: skip
def test_items_are_suggested_by_key_and_label(tmp_path, typed, expected):
    found = suggest(consolidated(tmp_path / "run"), PLAN, typed, 10, final=True)
    assert [(each.key, each.label, each.status) for each in found] == expected


def test_an_item_is_followed_over_runs(tmp_path):
    runs = [consolidated(tmp_path / name, followers) for name, followers in (("a", 5), ("b", 7))]
    past = [Past(name, 1, 1, logical_date=name) for name in ("b", "a", "deleted")]
    for key, expected in {
        "11": [("b", "ok", 1, 7), ("a", "ok", 1, 5)],
        "13": [("b", "failed", 0, None), ("a", "failed", 0, None)],
        "nobody": [("b", None, 0, None), ("a", None, 0, None)],
    }.items():
        found = item_history(runs[1], past, key, "followers")
        assert [(each.run_id, each.status, each.rows, each.measure) for each in found] == expected

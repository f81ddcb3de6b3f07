"""Runs of order files: an item is a file of order lines, and has as many rows as it has records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.loader import Loaded
from fanfold.model import Basis, Counts, Forecast, Outcome, Plan, RunIdentity, Status
from fanfold.pipeline import Pipeline
from fanfold.sources import Compute
from fanfold.stages.consolidating import consolidate
from fanfold.workspace.batch import ITEM, decide
from fanfold.workspace.failure_groups import FailureGroups
from fanfold.workspace.files import write_json, write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import Closed, write_closed

RUN = RunIdentity("orders", "manual__1", datetime(2026, 1, 1, tzinfo=UTC))
VERSION = "5eed5eed"
AS_OF = pa.field("as_of", pa.timestamp("us", "UTC"))
SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("line", pa.int64()),
        ("product", pa.dictionary(pa.int8(), pa.string())),
        ("price", pa.decimal128(20, 8)),
        ("weight", pa.float64()),
        ("tags", pa.list_(pa.string())),
        AS_OF,
    ]
)


@dataclass
class Orders:
    """The workspace of a run, its pipeline, and how often a batch was closed."""

    workspace: Workspace
    loaded: Loaded
    schema: pa.Schema = SCHEMA
    closed: int = 0

    def consolidate(self, version=VERSION):
        """Consolidate the run."""
        return consolidate(
            self.workspace, RUN, self.loaded, self.close, schema=self.schema, version=version
        )

    def close(self, batch):
        """Close a batch as ``process`` does: a record is a row, and rejected without an order."""
        self.closed += 1
        fetched = batch.outcomes()
        records = {outcome.key: found for part in batch.fetched(1000) for outcome, found in part}
        rows, final, rejected = [], [], []
        rows_of, outcomes_of = FailureGroups(), FailureGroups()
        for key in batch.keys():  # noqa: SIM118 - no dict
            good = [{ITEM: key, **found} for found in records.get(key, ()) if found["order_id"]]
            bad = [one for one in records.get(key, ()) if not one["order_id"]]
            invalid = Outcome(
                key, Status.INVALID, "no row", 1, column="order_id", value="", rule="not_nullable"
            )
            for number, _ in enumerate(bad):
                rejected.append({"item": key, "row": number + 1, "column": "order_id"})
                rows_of.add(invalid)
            rows += good
            final.append(decide(key, fetched.get(key), invalid if bad and not good else None))
            if final[-1].status is not Status.OK:
                outcomes_of.add(final[-1])
        self._write_rows(batch.rows_file, rows)
        write_jsonl(
            batch.failed_file, (one.as_json() for one in final if one.status is not Status.OK)
        )
        write_jsonl(batch.rejected_file, rejected)
        closed = Closed(
            batch.number,
            Counts(len(final), **Counter(str(one.status) for one in final)),
            sum(one.requests for one in final),
            len(rows),
            len(rejected),
            tuple(group.as_json() for group in outcomes_of.groups()),
            tuple(group.as_json() for group in rows_of.groups()),
            tuple(batch.part_names()),
            self.loaded.code,
        )
        write_closed(batch, closed)
        return closed

    def _write_rows(self, path, rows):
        schema = pa.schema([pa.field(ITEM, pa.string()), *self.schema])
        data = {
            field.name: [row.get(field.name) for row in rows]
            for field in schema
            if field.name != "as_of"
        }
        data["as_of"] = [RUN.logical_date] * len(rows)
        plain = {
            name: pa.array(map(str, values), pa.string()).cast(schema.field(name).type)
            if pa.types.is_decimal(schema.field(name).type)
            else pa.array(values, schema.field(name).type)
            for name, values in data.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(plain, schema=schema), path)


@pytest.fixture
def orders(tmp_path):
    """``orders(fates, …)`` makes a run whose items came to these ends.

    An end is a list of records, or the status of an item without any; None: not fetched.
    """

    def make(fates, *, batch_size=3, folds=(), schema=SCHEMA, close=True, folder="run"):
        keys = [f"file-{number}.csv" for number in range(len(fates))]
        plan = Plan(
            source="compute",
            items=len(keys),
            duplicates=0,
            starts=tuple(range(0, len(keys), batch_size)),
            logical_date="2026-01-01T00:00:00.000Z",
            started_at="2026-01-01T00:00:00.000Z",
            forecast=Forecast(len(keys), None, Basis.UNKNOWN),
        )
        workspace = Workspace(tmp_path / folder)
        write_json(workspace.plan, plan.as_json())
        pipeline = Pipeline(
            name="orders",
            noun="order file",
            source=Compute(function=dict),
            contract=None,
            key=("order_id", "line"),
            dataset="order_lines",
            folds=folds,
        )
        made = Orders(workspace, Loaded(pipeline, "c0de"), schema)
        for number in range(plan.batches):
            batch = workspace.batch(number)
            part = slice(number * batch_size, (number + 1) * batch_size)
            write_jsonl(batch.items_file, keys[part])
            done = [
                (Outcome(key, Status.OK, attempts=1), fate)
                if isinstance(fate, list)
                else (Outcome(key, Status(fate), "why", 2), None)
                for key, fate in zip(keys[part], fates[part], strict=True)
                if fate is not None
            ]
            # What was fetched comes in the order of the answers, not of the list.
            batch.write_part(1, list(reversed(done)), VERSION)
            if close:
                made.close(batch)
        made.closed = 0
        return made

    return make

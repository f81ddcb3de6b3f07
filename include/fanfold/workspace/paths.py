"""Paths in the workspace, the run's folder in the shared directory.

Layout::

    <shared>/<dag_id>/<run>/
        run.json                         token of the run
        plan.json                        the plan
        items/00007.jsonl                keys of batch 7, one JSON string a line
        items/listed.jsonl               keys as read, including duplicates
        items/listed.attributes.jsonl    their attributes, if they have any
        items/keys.db                    index of all keys
        items/from.json                  where the list comes from
        items/base.json                  mode merge: the published dataset by which items were chosen
        raw/00007/0002-1f9c.jsonl.gz     records of batch 7, part 2
        raw/00007/0002-1f9c.blob         bytes of its files, if items are files
        outcomes/00007/0002-1f9c.jsonl   outcomes of that part; written last: it commits the part
        progress/00007.json              fetch progress of batch 7, for the run page
        redrive/00007.json               items of batch 7 that a redrive selected
        items/00007.attributes.jsonl     their attributes, if they have any
        clean/00007.parquet              rows of batch 7, in item order
        clean/00007.failed.jsonl         outcomes of its items that are not ok
        clean/00007.rejected.jsonl       its rows that break the contract
        clean/00007.json                 counts of all of these; written last
        dataset/                         <dataset> and <fold>.parquet, .csv.gz; failed.jsonl, missing.jsonl,
                                         rejected.jsonl, same.jsonl;
                                         mode merge: <dataset>.state.parquet, <dataset>.ledger.parquet
        failures.json                    failure groups of items and of rejected rows
        spill/                           temporary files of DuckDB
        report/                          report.html
        manifest.json                    the manifest
        consolidate.json                 warnings of the last consolidation
        publish.json                     warnings of the last publication, and whether latest.json moved
        load.json                        warnings of the last load
        errors/batch.fetch-7.json        why the last failed try of a task, or of its instance 7, failed
        notices/failed                   a message about the run that was sent, by state
        redrives.jsonl                   redrives from the run page: when, by whom, how many items
        stop.json                        why the fetch was stopped, if the token was rejected
        limits.json                      limits that were changed while the run is on

    <shared>/inputs/                     items files that people put there, and that any run may read
    <shared>/.notices/                   marks of notices that are not about a single run
    <shared>/.rate-limits/               rate limits, unless they are in Redis
    <shared>/<dag_id>/.history.json      the latest runs of the DAG
    <shared>/<dag_id>/.publish.lock      held by the run that moves latest.json
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from fanfold.model import Status
from fanfold.workspace.batch import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from fanfold.model import Item

_SAFE = re.compile(r"[A-Za-z0-9._+=:@-]")
_NAME_LIMIT = 120  # bytes; most file systems allow 255, and parts add to it
INPUTS = "inputs"
FAILED = "failed.jsonl"
MISSING = "missing.jsonl"
REJECTED = "rejected.jsonl"


def safe_name(text: str) -> str:
    """Return a path segment for any text; different texts get different segments.

    Letters, digits and ``._+=:@-`` are kept, every other byte becomes ``%XX``. A name that is too
    long or starts with a dot is truncated and gets a ``~`` and a digest of the text as its suffix.
    """
    name = "".join(
        char if _SAFE.fullmatch(char) else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
    if len(name) <= _NAME_LIMIT and name and not name.startswith("."):
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{name[: _NAME_LIMIT - 20].lstrip('.')}~{digest}"


class Workspace:
    """The files of one run, in its folder ``root``, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.history = root.parent / ".history.json"
        self.publish_lock = root.parent / ".publish.lock"
        self.run = root / "run.json"
        self.plan = root / "plan.json"
        self.listed = root / "items" / "listed.jsonl"
        self.listed_attributes = root / "items" / "listed.attributes.jsonl"
        self.keys = root / "items" / "keys.db"
        self.items_from = root / "items" / "from.json"
        self.base_ref = root / "items" / "base.json"
        self.dataset = root / "dataset"
        self.failures = root / "failures.json"
        self.stop = root / "stop.json"
        self.limits = root / "limits.json"
        self.report = root / "report"
        self.manifest = root / "manifest.json"
        self.consolidated = root / "consolidate.json"
        self.published = root / "publish.json"
        self.load = root / "load.json"
        self.errors = root / "errors"
        self.notices = root / "notices"
        self.redrives = root / "redrives.jsonl"
        self.spill = root / "spill"

    def table(self, name: str) -> Path:
        """Return the Parquet file of a dataset or fold."""
        return self.dataset / f"{name}.parquet"

    @classmethod
    def of_run(cls, shared: Path, dag_id: str, run_id: str) -> Workspace:
        """Return the workspace of a run under the shared directory."""
        # Any run may read `inputs`: what people put there is no run.
        folder = safe_name(f".{dag_id}" if dag_id == INPUTS else dag_id)
        return cls(shared / folder / safe_name(run_id))

    def sibling(self, run_id: str) -> Workspace:
        """Return the workspace of another run of the same DAG."""
        return Workspace(self.root.parent / safe_name(run_id))

    def batch(self, number: int) -> Batch:
        """Return a batch of the run."""
        return Batch(self.root, number)

    def known_item(self) -> Item | None:
        """Return an item of the run that is fetched and exists, or None."""
        for folder in sorted((self.root / "outcomes").glob("[0-9]*")):
            batch = self.batch(int(folder.name))
            outcomes = batch.outcomes().items()
            found = {key for key, outcome in outcomes if outcome.status is Status.OK}
            if found:
                return next(item for item in batch.items() if item.key in found)
        return None

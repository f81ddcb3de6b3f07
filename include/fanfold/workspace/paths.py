"""The run's own folder in the shared directory: where every file lies and how it is written.

<shared>/<dag_id>/<run>/
plan.json                        what is planned, and the facts of the run
items/00007.jsonl                the keys of batch 7, one JSON string a line
items/keys.db                    where each key stands, to find one among millions
raw/00007/0002-1f9c.jsonl.gz     records of batch 7, second part of its fetch
outcomes/00007/0002-1f9c.jsonl   outcomes of the same part; written last: it commits the part
progress/00007.json              counts of batch 7 so far, for people who watch
redrive/00007.json               which items of batch 7 somebody selected to be fetched again
clean/00007.parquet              clean rows of batch 7; clean/00007.invalid.jsonl beside it,
and their counts in clean/00007.json
dataset/                         users.parquet, users.csv.gz, failed.jsonl
failures.json                    the items of failed.jsonl by reason
report/                          report.html, and each chart as PNG and SVG
comparison.json                  what differs from the run before
manifest.json                    what the run produced
stop.json                        why fetching was stopped, where a token was refused

<shared>/<dag_id>/.history.json      the last runs of the DAG
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fanfold.workspace.batch import Batch

if TYPE_CHECKING:
    from pathlib import Path

_SAFE = re.compile(r"[A-Za-z0-9._+=:@-]")
_NAME_LIMIT = 120  # bytes; most file systems allow 255, and parts add to it
PARQUET = "users.parquet"
CSV = "users.csv.gz"
FAILED = "failed.jsonl"


def safe_name(text: str) -> str:
    """Return a path segment for any text, so that two texts never share one.

    Letters, digits and ``._+=:@-`` stay; every other byte becomes ``%XX``, so the name can be read
    back. A name that would be too long, or that starts with a dot, is cut and ends in a digest of
    the whole text behind ``~``, a character that the first form never holds.
    """
    name = "".join(
        char if _SAFE.fullmatch(char) else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
    if len(name) <= _NAME_LIMIT and name and not name.startswith("."):
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{name[: _NAME_LIMIT - 20].lstrip('.')}~{digest}"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the files of one run lie. ``root`` need not exist yet."""

    root: Path

    @classmethod
    def of_run(cls, shared: Path, dag_id: str, run_id: str) -> Workspace:
        """Return the workspace of a run under the shared directory."""
        return cls(shared / safe_name(dag_id) / safe_name(run_id))

    def sibling(self, run_id: str) -> Workspace:
        """Return the workspace of another run of the same DAG."""
        return Workspace(self.root.parent / safe_name(run_id))

    @property
    def history(self) -> Path:
        """What the DAG remembers of its last runs, for all of them."""
        return self.root.parent / ".history.json"

    @property
    def plan(self) -> Path:
        """The plan: what the run is about to do."""
        return self.root / "plan.json"

    @property
    def listed(self) -> Path:
        """The items as they were read, duplicates included."""
        return self.root / "items" / "listed.jsonl"

    def batch(self, number: int) -> Batch:
        """Return a batch of the run."""
        return Batch(self.root, number)

    @property
    def keys(self) -> Path:
        """The index of all keys."""
        return self.root / "items" / "keys.db"

    @property
    def dataset(self) -> Path:
        """The folder of the consolidated files."""
        return self.root / "dataset"

    @property
    def failures(self) -> Path:
        """The items that are not in the dataset, by reason."""
        return self.root / "failures.json"

    @property
    def comparison(self) -> Path:
        """What differs from the run before."""
        return self.root / "comparison.json"

    @property
    def stop(self) -> Path:
        """Why fetching was stopped, where a token was refused."""
        return self.root / "stop.json"

    @property
    def report(self) -> Path:
        """The folder of the report and its charts."""
        return self.root / "report"

    @property
    def manifest(self) -> Path:
        """What the run produced."""
        return self.root / "manifest.json"

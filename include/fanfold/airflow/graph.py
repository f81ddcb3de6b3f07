"""Task ids and tag of the pipelines."""

from __future__ import annotations

TAG = "fanfold"
"""Tag of all pipelines; the run page covers DAGs with this tag."""

READ_ITEMS = "read_items"
PLAN = "plan"
FETCH = "batch.fetch"
PROCESS = "batch.process"
CONSOLIDATE = "consolidate"
APPROVAL = "approval"
PUBLISH = "publish"
REPORT = "report"

STEPS = (
    "preflight", READ_ITEMS, PLAN, FETCH, PROCESS, CONSOLIDATE, APPROVAL, PUBLISH, "load", REPORT,
)  # fmt: skip
"""Task ids in display order."""

"""The names of a pipeline's tasks and its tag, by which others recognise it."""

from __future__ import annotations

TAG = "fanfold"
"""The tag of every pipeline: the run page is there for DAGs that have it."""

PLAN = "plan"
FETCH = "batch.fetch"
PROCESS = "batch.process"
CONSOLIDATE = "consolidate"
PUBLISH = "publish"
REPORT = "report"

STEPS = (
    "preflight", "read_items", PLAN, FETCH, PROCESS, CONSOLIDATE, PUBLISH, "load", REPORT,
)  # fmt: skip
"""The tasks in the order in which people think of them."""

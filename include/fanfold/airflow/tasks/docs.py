"""What Airflow's UI shows about each task: what it does, and what to do after a failure."""

from __future__ import annotations

PREFLIGHT = """
Checks the pipeline, its source and token, bucket, database and workspace before anything is fetched.

**After a failure**: the message lists everything that is wrong. Correct it and clear the run; it starts over.
"""
READ_ITEMS = """
Reads the items of the run (Params, file, query, dataset), checks and stores them.

**After a failure**: the message names the line or the Param. A file can be corrected and the task cleared; Params need
a new run.
"""
PLAN = """
Removes duplicates, cuts the items into batches and forecasts the run. With *Dry run* the run ends here.

**After a failure**: correct what the message names, and clear the task with its downstream tasks.
"""
FETCH = """
Sends the requests for the items of a batch, or downloads its files. What it has fetched is kept: a retry fetches only
what is missing. While a quota is used up it is deferred and takes no worker slot.

**After a failure**: the other batches go on, and the run succeeds if its failures are tolerated. *Redrive* on the run
page, or clearing the task with its downstream tasks, fetches the failed items.
"""
PROCESS = """
Turns the records of a batch into rows and checks them. It sends no request. It also runs after a failed `fetch`: what
was fetched belongs to the dataset.

**After a failure**: correct the pipeline and clear the task with its downstream tasks.
"""
CONSOLIDATE = """
Waits for all batches, processes those that are not processed yet, and writes the dataset, its folds, `failed.jsonl`,
`rejected.jsonl` and the manifest.

**After a failure**: more items or rows failed than the run tolerates, and nothing is published. *Redrive* fetches the
failed items. `upstream_failed` means that there is no plan: see the failed task before it.
"""
APPROVAL = """
Asks whether a run that exceeds its tolerance is published all the same: *Required Actions* of this task. Without an
answer in time it is not. It asks nothing if the tolerance is not exceeded.

**After a failure**: it was rejected, and nothing is published. *Redrive* fetches the failed items; *Publish anyway*
publishes without them.
"""
PUBLISH = """
Uploads dataset, folds and manifest to the bucket, then moves `latest.json`.

**After a failure**: the previous dataset is still the latest. Clear the task; nothing is fetched again.
"""
LOAD = """
Writes dataset and folds into the database by key, in one transaction.

**After a failure**: the tables are as they were. Clear the task.
"""
REPORT = """
Compares the run with the previous one, writes the report with its charts and uploads it.

**After a failure**: dataset and tables are complete. Clear the task.
"""

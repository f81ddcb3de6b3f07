"""# Account segments

Which kinds of accounts there are among the Weibo user profiles, and which accounts are unusual. It runs after
each run of `weibo_user_profiles` that becomes its latest.

**Run it by hand**: press *Trigger*. It reads the profiles that were published last.

**Output** in the bucket `$FANFOLD_BUCKET` under `account_segments/date=YYYY-MM-DD/run=<run>/`, and as tables in the
database of the connection `warehouse_default`:

| table | a row is | |
|---|---|---|
| `account_features` | an account | the dataset: counts and their logarithms |
| `account_segments` | an account | its segment, its score, and if it is unusual the reason |
| `segment_profiles` | a segment | its name, size, medians, and a typical account |
| `model_card` | an entry | features, parameters, scores, versions of libraries, the run it was trained on |

`latest.json`, `manifest.json` and `report.html` are as for each pipeline. The Parquet files are also written to the
folder `account_segments` in `$FANFOLD_EXPORTS`, by default `$FANFOLD_SHARED_DIR/exports`.

**Own tasks** beside those of each pipeline:

| task | | after a failure |
|---|---|---|
| `latest_profiles` | verifies the published profiles | if there are none, run `weibo_user_profiles` |
| `check_segments` | stops before publishing if too many accounts are in another segment than before | trigger a run with a higher *Tolerated moves* |
| `export` | writes the folder | correct it and clear the task; the run is published all the same |
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import Asset, Param, dag, task

from fanfold.airflow import flow, policies, settings, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import ADVANCED, file_params

PIPELINE = "account_segments"
PROFILES = "weibo_user_profiles"


@task
def latest_profiles() -> list[dict[str, Any]]:
    """Return the file of the profiles, verified, as the only item."""
    return [flow.published_file(PROFILES, column="file")]


@task
def check_segments(params: dict[str, Any]) -> None:
    """Compare the segments with those that are published."""
    from pipelines import _account_checks as checks

    run = flow.current_run()
    with flow.published_table(PIPELINE, "account_segments") as before:
        tolerated = params["tolerated_moves_percentage"]
        checks.check_segments(run.manifest, run.path("account_segments"), before, tolerated)


@task
def export() -> str:
    """Write the tables to the folder; return it."""
    from pipelines import _folder_sink as sink

    run = flow.current_run()
    folder = os.environ.get("FANFOLD_EXPORTS") or f"file://{settings.shared_directory()}/exports"
    return sink.export(run.manifest, run.folder, folder)


@dag(
    dag_id=PIPELINE,
    dag_display_name="Account segments",
    description="Segments of the Weibo user profiles, and unusual accounts",
    doc_md=__doc__,
    schedule=[Asset.ref(name=PROFILES)],
    params={
        **file_params(
            noun="file of profiles",
            column="file",
            empty="the profiles that weibo_user_profiles published last",
            tolerated_failures=0,
            tolerated_rejected=0,
        ),
        "tolerated_moves_percentage": Param(
            50,
            type="number",
            minimum=0,
            maximum=100,
            title="Tolerated moves (%)",
            description="If more accounts are in another segment than in the published dataset, the run "
            "fails and publishes nothing.",
            section=ADVANCED,
        ),
    },
    tags=[TAG, "users", "model"],
    **policies.PIPELINE,
)
def account_segments() -> None:
    """Wire the tasks: own ones before, between and after those of each pipeline."""
    profiles = latest_profiles()
    items = tasks.read_items(PIPELINE, profiles)
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    checked = check_segments()
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> profiles
    items >> planned
    batches >> tasks.consolidate(PIPELINE) >> checked >> published
    published >> [tasks.load(PIPELINE), tasks.report(PIPELINE), export()]


account_segments()

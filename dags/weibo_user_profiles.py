"""# Weibo user profiles

Fetches the profile of each user on a list from the Weibo API and folds them into one dataset.

**Run it**: press *Trigger*, change the Params if needed, or run

```
airflow dags trigger weibo_user_profiles --conf '{"user_ids": ["1404376560"]}'
```

**The list** of scheduled runs is the Airflow Variable `weibo_user_profiles_items`: the URI of an items file, or a list in
JSON. They fail in `preflight` without it. A run with a list of its own is published, but `latest.json` stays as it is,
unless *Update latest* is `yes`.

**Output** in the bucket `$FANFOLD_BUCKET`:

| object | content |
|---|---|
| `weibo_user_profiles/latest.json` | reference to the manifest of the latest run |
| `…/date=YYYY-MM-DD/run=<run>/user_profiles.parquet`, `user_profiles.csv.gz` | the dataset, in item order |
| `…/failed.jsonl`, `missing.jsonl` | users that are not in the dataset, with the reason |
| `…/rejected.jsonl` | values that break the contract, with their rule |
| `…/report.html` | charts |
| `…/manifest.json` | counts, sizes and SHA-256 |

and the table `user_profiles` in the database of the connection `warehouse_default`.

**Outcome of each user**: tab *Items* of the run. **After failures**: press *Redrive* there. It fetches the
failed users again and runs the tasks downstream; users that are `ok` or `missing` are not fetched again.
"""

from __future__ import annotations

from airflow.sdk import Asset, dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "weibo_user_profiles"
DATASET = Asset(PIPELINE)
USERS = ["1404376560", "1642634100", "1618051664", "1266321801", "1197161814"]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Weibo user profiles",
    description="Fetch the profiles of a list of Weibo users into one dataset",
    doc_md=__doc__,
    schedule=policies.daily(hour=2),
    params=item_params(
        USERS, name="user_ids", title="Users", noun="uid", column="user_id", sample=True
    ),
    tags=[TAG, "users", "weibo"],
    **policies.SNAPSHOT | policies.complete_by(6, start=2),
)
def weibo_user_profiles() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned)
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish.override(outlets=[DATASET])(DATASET)

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


weibo_user_profiles()

"""# Weibo user profiles

Fetches the profile of each user on a list from the Weibo API and folds them into one dataset.

**Run it**: press *Trigger*, change the Params if needed, or run

```
airflow dags trigger weibo_user_profiles --conf '{"user_ids": ["1404376560"]}'
```

**Output** in the bucket `$FANFOLD_BUCKET`:

| object | content |
|---|---|
| `weibo_user_profiles/latest.json` | reference to the manifest of the latest run |
| `…/date=YYYY-MM-DD/run=<run>/users.parquet`, `users.csv.gz` | the dataset, in item order |
| `…/failed.jsonl` | users that are not in the dataset, with the reason |
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
from fanfold.airflow.params import user_params

SOURCE = "weibo"
DATASET = Asset("weibo_user_profiles")
USERS = ["1404376560", "1642634100", "1618051664", "1266321801", "1197161814"]


@dag(
    dag_id="weibo_user_profiles",
    dag_display_name="Weibo user profiles",
    description="Fetch the profiles of a list of Weibo users into one dataset",
    doc_md=__doc__,
    schedule=policies.daily(hour=2),
    params=user_params(USERS, noun="uid", example="user_id"),
    tags=[TAG, "users", SOURCE],
    **policies.PIPELINE,
)
def weibo_user_profiles() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(SOURCE)
    batches = tasks.batch.partial(source=SOURCE).expand(ref=planned)
    folded = tasks.consolidate()
    published = tasks.publish.override(outlets=[DATASET])(DATASET)

    tasks.preflight(SOURCE) >> tasks.read_items(SOURCE) >> planned
    batches >> folded >> [published, tasks.load()]
    published >> tasks.report()


weibo_user_profiles()

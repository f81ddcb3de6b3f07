"""# Weibo user profiles

Fetches the profile of every user on a list from the Weibo API and folds them into one dataset.

**Run it**: press *Trigger* and change what you want in the form; or

```
airflow dags trigger weibo_user_profiles --conf '{"user_ids": ["1404376560"]}'
```

**What comes out**, in the bucket `$FANFOLD_BUCKET`:

| object | what it is |
|---|---|
| `weibo_user_profiles/latest.json` | points to the newest run's manifest |
| `…/date=YYYY-MM-DD/run=<run>/users.parquet`, `users.csv.gz` | the dataset, in the order of the list |
| `…/failed.jsonl` | a line for each user that is not in it, and why |
| `…/report.html` | charts |
| `…/manifest.json` | counts, sizes and SHA-256 |

and the table `user_profiles` in the database of the connection `warehouse_default`.

**What became of each user**: the tab *Items* of a run. **When something failed**: *Redrive* there runs
again what failed and what follows from it. Users that are here already, or do not exist, are not fetched
again.
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
    """Wire the pipeline: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(SOURCE)
    batches = tasks.batch.partial(source=SOURCE).expand(ref=planned)
    folded = tasks.consolidate()
    published = tasks.publish.override(outlets=[DATASET])(DATASET)

    tasks.preflight(SOURCE) >> tasks.read_items(SOURCE) >> planned
    batches >> folded >> [published, tasks.load()]
    published >> tasks.report()


weibo_user_profiles()

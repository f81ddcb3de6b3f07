"""# User profiles by functions in the cloud

Calls three functions for each Weibo user, one after the other: `get_user_info` gets the profile from the
API, `process_user` makes the row, `write_user` writes it to a file system. The rows are folded into one
dataset, which is that of `weibo_user_profiles`.

The functions run on AWS Lambda or Tencent SCF, whichever the connection `function_default` is for; their
code is in `include/functions`. In the local mode the simulator runs them.

**Run it**: press *Trigger*, change the Params if needed, or run

```
airflow dags trigger function_map --conf '{"user_ids": ["1404376560"]}'
```

**Output** in the bucket `$FANFOLD_BUCKET`:

| object | content |
|---|---|
| `function_map/latest.json` | reference to the manifest of the latest run |
| `…/date=YYYY-MM-DD/run=<run>/user_profiles.parquet`, `user_profiles.csv.gz` | the dataset, in item order |
| `…/failed.jsonl`, `missing.jsonl` | users that are not in the dataset, with the message of the function |
| `…/rejected.jsonl` | values that break the contract, with their rule |
| `…/report.html` | charts |
| `…/manifest.json` | counts, sizes, SHA-256, and the billed GB-seconds |

and the table `function_user_profiles` in the database of the connection `warehouse_default`.

**Write your own**: `docs/functions.md`.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "function_map"
USERS = ["1404376560", "1642634100", "1618051664", "1266321801", "1197161814"]


@dag(
    dag_id=PIPELINE,
    dag_display_name="User profiles by functions",
    description="Call functions in the cloud for a list of users",
    doc_md=__doc__,
    schedule=None,
    params=item_params(USERS, name="user_ids", title="Users", noun="uid", column="user_id"),
    tags=[TAG, "users", "functions"],
    **policies.SNAPSHOT,
)
def function_map() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="function_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


function_map()

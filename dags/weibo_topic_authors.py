"""# Profiles of the authors of hot topics

Fetches the profiles of the accounts that write about the top topics of `weibo_hot_topics`: the second half
of a fan-out in two steps. The items of this DAG are a column of the other DAG's latest dataset, and the
pipeline is `weibo_user_profiles`, under the name of this DAG.

**It runs** when a run of `weibo_hot_topics` whose Param *Fetch the authors* is set has published, by the Asset
`weibo_hot_topics_authors`. Or press *Trigger*: it then reads the latest published topics. For other users, give
a list or a file.

**Output** in the bucket `$FANFOLD_BUCKET`:

| object | content |
|---|---|
| `weibo_topic_authors/latest.json` | reference to the manifest of the latest run |
| `…/date=YYYY-MM-DD/run=<run>/user_profiles.parquet`, `user_profiles.csv.gz` | the profiles |
| `…/failed.jsonl`, `missing.jsonl` | users that are not in the dataset, with the reason |
| `…/report.html` | charts |

and the table `user_profiles` in the database of the connection `warehouse_default`, which this DAG shares with
`weibo_user_profiles`: one row a user, the newest one.
"""

from __future__ import annotations

from airflow.sdk import Asset, dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

DAG = "weibo_topic_authors"
PIPELINE = "weibo_user_profiles"
WANTED = Asset("weibo_hot_topics_authors")
AUTHORS = "dataset://weibo_hot_topics/top_authors/author_id"


@dag(
    dag_id=DAG,
    dag_display_name="Weibo topic authors",
    description="Fetch the profiles of the accounts that write about the hot topics",
    doc_md=__doc__,
    schedule=[WANTED],
    params=item_params(
        name="user_ids", title="Users", noun="uid", column="user_id", uri=AUTHORS
    ),
    tags=[TAG, "users", "topics", "weibo"],
    **policies.SNAPSHOT,
)
def weibo_topic_authors() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="weibo_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


weibo_topic_authors()

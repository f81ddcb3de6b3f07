"""# Mastodon hot topics

Each hour, fetches the trending hashtags of one Mastodon server and the newest 200 statuses of each, and merges them
into one dataset with the columns and tables of `weibo_hot_topics`.

Set the host of the connection `mastodon_default` to any server that shows its hashtags to everybody; then no token is
needed. Some servers show timelines to their users only: `preflight` says so. Then use another server, or put a token
with `read:statuses` into the password. By default a server allows an address 300 requests in five minutes; a run needs
about 100.

**Run it**: it runs each hour. Or press *Trigger*; *Hashtags* is empty for the trending ones. Or run

```
airflow dags trigger mastodon_hot_topics --conf '{"hashtags": ["caturday"]}'
```

**Output** in the bucket `$FANFOLD_BUCKET` under `mastodon_hot_topics/date=YYYY-MM-DD/run=<run>/`: the dataset
`topic_events` and the tables that the page of `weibo_hot_topics` describes. In the database of the connection
`warehouse_default` their names begin with `mastodon_`. `verified` is true if the server has verified a link of the
author's profile; `topic_days` has the uses and the accounts of a hashtag by day, as the server counts them.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "mastodon_hot_topics"


@dag(
    dag_id=PIPELINE,
    dag_display_name="Mastodon hot topics",
    description="Trending hashtags by the hour: heat, changes, accounts, overlap",
    doc_md=__doc__,
    schedule=policies.hourly(minute=20),
    params=item_params(
        name="hashtags",
        title="Hashtags",
        noun="hashtag",
        column="topic",
        empty="the trending hashtags of the server",
        mode="merge",
        tolerated_failures=20,
    ),
    tags=[TAG, "topics", "mastodon"],
    **policies.SNAPSHOT,
)
def mastodon_hot_topics() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="mastodon_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    # Rows are merged into what is published: the table must not be ahead of it.
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


mastodon_hot_topics()

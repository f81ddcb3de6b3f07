"""# Weibo hot topics

Each hour, fetches the hot list, the newest posts about each of its topics and their statistics by day, and merges
them into one dataset: what is new, rises, falls and goes, how hot it is, and which accounts carry it.

**Run it**: it runs each hour. Or press *Trigger*; *Topics* is empty for the hot list of the hour. Or run

```
airflow dags trigger weibo_hot_topics --conf '{"topics": ["咖啡冷知识"]}'
```

The application needs Weibo's advanced permission (`search/topics`). The statistics by day need the commercial one;
if Weibo refuses them, the run has everything else, and the report says so.

**Output** in the bucket `$FANFOLD_BUCKET` under `weibo_hot_topics/date=YYYY-MM-DD/run=<run>/`, and as tables in the
database of the connection `warehouse_default`:

| table | a row is | |
|---|---|---|
| `topic_events` | a topic on a list, a post, a deleted post, or a day | the dataset |
| `topic_statuses` | a post of a topic | newest counts; `deleted` if it is gone, with its last counts |
| `topic_heat` | a topic and hour | the posts of the hour: reposts, comments, likes, authors, share of verified ones |
| `topic_changes` | a topic and hour | `new`, `back`, `rising`, `falling`, `same`, `gone`, `unknown`; rank now and before |
| `topic_time_on_list` | a topic | first and last hour, hours and times on the list |
| `topic_accounts` | a topic and author | posts and reactions |
| `top_authors` | an author | the leading accounts of the topics of the newest run |
| `topic_overlap` | two topics | authors in common, Jaccard index; topics of the last day |
| `topic_days` | a topic and day | Weibo's own statistics |

`latest.json`, `manifest.json`, `report.html`, `failed.jsonl` (topics) and `rejected.jsonl` (rows) are as for each pipeline.
With *Fetch the authors*, `weibo_topic_authors` then fetches the profiles of the users in `top_authors`.

A topic that failed is fetched again with *Redrive*, or by the next run if it is still on the list.
"""

from __future__ import annotations

from airflow.sdk import Asset, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import ADVANCED, item_params

PIPELINE = "weibo_hot_topics"
AUTHORS = Asset("weibo_hot_topics_authors")
FETCH_AUTHORS = Param(
    default=False,
    type="boolean",
    title="Fetch the authors",
    description="Start weibo_topic_authors after this run: it fetches the profiles of the users in top_authors.",
    section=ADVANCED,
)


@task(outlets=[AUTHORS])
def offer_authors() -> None:
    """Start the DAG that fetches the authors, if the run says so."""
    if not get_current_context()["params"]["fetch_authors"]:
        raise AirflowSkipException("The Param fetch_authors is off.")


@dag(
    dag_id=PIPELINE,
    dag_display_name="Weibo hot topics",
    description="Hot topics by the hour: heat, changes, accounts, overlap",
    doc_md=__doc__,
    schedule=policies.hourly(minute=5),
    params={
        **item_params(
            name="topics",
            title="Topics",
            noun="topic",
            column="topic",
            empty="the hot list of the hour",
            mode="merge",
            tolerated_failures=20,
        ),
        "fetch_authors": FETCH_AUTHORS,
    },
    tags=[TAG, "topics", "weibo"],
    **policies.SNAPSHOT,
)
def weibo_hot_topics() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="weibo_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    # Rows are merged into what is published: the table must not be ahead of it.
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]
    published >> offer_authors()


weibo_hot_topics()

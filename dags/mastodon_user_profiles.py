"""# Mastodon user profiles

Fetches the profile of each account on a list from one Mastodon server and folds them into one
dataset with the columns of the Weibo pipeline, as far as Mastodon has them.

Set the host of the connection `mastodon_default` to any server, such as `https://mastodon.social`. Most
servers need no token. Accounts of other servers have the form `alice@example.social` or
`alice@bücher.example`. An account that the server does not know or has suspended is `missing`, with the
reason.

A server gives its own ids to all accounts: the column `server` is part of the key, so another host
makes other rows. Counts that a server hides (-1), and times that it does not know, are null.

**Run it**: press *Trigger*, change the Params if needed, or run

```
airflow dags trigger mastodon_user_profiles --conf '{"user_ids": ["gargron"]}'
```

**The list** of scheduled runs is the Airflow Variable `mastodon_user_profiles_items`; they fail in `preflight` without it.

Output and redrive are the same as for `weibo_user_profiles`.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import policies, tasks
from fanfold.airflow.graph import TAG
from fanfold.airflow.params import item_params

PIPELINE = "mastodon_user_profiles"
USERS = ["gargron", "mastodon", "eff", "internetarchive", "wikipedia"]


@dag(
    dag_id=PIPELINE,
    dag_display_name="Mastodon user profiles",
    description="Fetch the profiles of a list of Mastodon accounts into one dataset",
    doc_md=__doc__,
    schedule=policies.daily(hour=3),
    params=item_params(
        USERS, name="user_ids", title="Users", noun="account", column="acct", sample=True
    ),
    tags=[TAG, "users", "mastodon"],
    **policies.SNAPSHOT,
)
def mastodon_user_profiles() -> None:
    """Wire the tasks: fan out over the batches, fold, publish, load, report."""
    planned = tasks.plan(PIPELINE)
    batches = tasks.batches(PIPELINE, planned, pool="mastodon_default")
    folded = tasks.consolidate(PIPELINE)
    published = tasks.publish()

    tasks.preflight(PIPELINE) >> tasks.read_items(PIPELINE) >> planned
    batches >> folded >> published >> [tasks.load(PIPELINE), tasks.report(PIPELINE)]


mastodon_user_profiles()

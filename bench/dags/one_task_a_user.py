"""The obvious DAG: one mapped task a user, results through XCom, one Parquet file on S3."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task


@task
def users() -> list[str]:
    """Return the users in the CSV file of the Param ``items_uri``."""
    from pathlib import Path
    from urllib.parse import urlparse

    uri = get_current_context()["params"]["items_uri"]
    return Path(urlparse(uri).path).read_text("utf-8").split()[1:]


@task
def profile(uid: str) -> Any:
    """Return a user's profile."""
    import requests
    from airflow.sdk import Connection

    weibo = Connection.get("weibo_default")
    query = {"access_token": weibo.password, "uid": uid}
    answer = requests.get(f"{weibo.host}/2/users/show.json", params=query, timeout=30)
    answer.raise_for_status()
    return answer.json()


@task
def fold(profiles: Any) -> int:
    """Write one Parquet file and upload it; return its rows."""
    import io
    import os

    import pandas as pd
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    rows = pd.json_normalize(list(profiles)).astype(str)
    file = io.BytesIO()
    rows.to_parquet(file)
    file.seek(0)
    S3Hook("aws_default").load_file_obj(
        file, "one_task_a_user/users.parquet", os.environ["FANFOLD_BUCKET"], replace=True
    )
    return len(rows)


@dag(schedule=None, params={"items_uri": Param("", type="string")})
def one_task_a_user() -> None:
    """Wire the tasks."""
    fold(profile.expand(uid=users()))


one_task_a_user()

"""# Maintenance

Removes the workspaces of old runs from the shared directory and, if wanted, old runs from the bucket. It never
removes what is needed:

- the run that a `latest.json` points to;
- runs that are queued or running;
- fetched data that was not published, until its DAG run is deleted in Airflow, or until it has the age that you
  set for it.

**Run it**: each night it uses the Airflow Variable `fanfold_retention`, a JSON object with the names of the Params:

```json
{"dry_run": false, "keep_days": 60, "keep_runs": 10, "published_keep_days": 400}
```

Without the Variable it is a dry run: the log lists what would be removed. *Trigger* uses the form, and not the
Variable; its default is a dry run.

A run that ends in the middle leaves nothing half-removed that a reader would find; the next one removes the rest.
"""

from __future__ import annotations

from airflow.sdk import dag

from fanfold.airflow import maintenance, policies


@dag(
    dag_id="fanfold_maintenance",
    dag_display_name="Maintenance",
    description="Removes old runs from the shared directory and the bucket",
    doc_md=__doc__,
    schedule=policies.daily(hour=1),
    params=maintenance.params(),
    tags=["maintenance"],
    **policies.PIPELINE,
)
def fanfold_maintenance() -> None:
    """Remove old runs."""
    maintenance.remove_old_runs()


fanfold_maintenance()

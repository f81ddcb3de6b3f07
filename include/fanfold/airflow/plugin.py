"""Registers the run page with Airflow: a FastAPI app, a tab on each DAG run, links to it and a menu entry.

Airflow finds it by the entry point of the installed package and imports it in all of its processes and
commands, so the page itself is imported only when the api-server requests the app.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from fanfold.airflow.links import ROUTE, ItemsLink


class FanfoldPlugin(AirflowPlugin):
    """The run page."""

    name = "fanfold"
    # Relative to Airflow's base URL, which may have a path.
    external_views = [  # noqa: RUF012 - Airflow's own form
        {
            "name": "Items",
            "href": "fanfold/run?dag_id={DAG_ID}&run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": ROUTE,
            "icon": "fanfold/static/icon/icon.svg",
            "icon_dark_mode": "fanfold/static/icon/icon-dark.svg",
        },
        {
            "name": "Fanfold",
            "href": "fanfold/pipelines",
            "destination": "nav",
            "url_route": "fanfold",
            "icon": "fanfold/static/icon/icon.svg",
            "icon_dark_mode": "fanfold/static/icon/icon-dark.svg",
        },
    ]

    global_operator_extra_links = [ItemsLink()]  # noqa: RUF012

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The FastAPI app, created on access."""
        from fanfold.airflow.page.app import create_app

        return [{"app": create_app(), "url_prefix": "/fanfold", "name": "fanfold"}]

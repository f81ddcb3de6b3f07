"""Registers the run page with Airflow: an application, a tab on each DAG run, a place in the menu.

Airflow imports this file in every one of its processes, and again in each command: what the page
consists of is imported where Airflow asks for it, which is in the api-server.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class FanfoldPlugin(AirflowPlugin):
    """The run page."""

    name = "fanfold"
    # Relative to Airflow's base address, which need not be the root of a host.
    external_views = [  # noqa: RUF012 - Airflow's own form
        {
            "name": "Items",
            "href": "fanfold/run?dag_id={DAG_ID}&run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "fanfold-items",
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

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The application, made when it is asked for."""
        from fanfold.airflow.page.app import create_app

        return [{"app": create_app(), "url_prefix": "/fanfold", "name": "fanfold"}]

"""Airflow's REST API of a cluster, as a person with an account reaches it."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from fanfold.errors import Inconsistent, SinkUnavailable

if TYPE_CHECKING:
    from datetime import datetime

PATIENCE = 30.0
"""Seconds to wait for an answer."""


class Away(SinkUnavailable):
    """The API server does not answer, or not now; it may later."""


class Denied(Inconsistent):
    """The API server answers, and refuses."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Airflow:
    """A session with the API server.

    Args:
        url: Its address without a slash at the end.
        login: The account.
        password: Its password.
    """

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._account = {"username": login, "password": password}
        self._token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        params: dict[str, object] | None = None,
    ) -> Any:
        """Send a request; return the JSON of its answer (None where it is empty).

        Raises:
            Away: No answer, or a server's error.
            Denied: It is refused.
        """
        if self._token is None:
            told = self._send("POST", "/auth/token", self._account, None)
            self._token = told["access_token"]
        query = f"?{urlencode(params, doseq=True)}" if params else ""
        try:
            return self._send(method, f"{path}{query}", body, self._token)
        except Denied as error:
            if error.status == 401:
                self._token = None
            raise

    def _send(self, method: str, path: str, body: object | None, token: str | None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - our own
                text = answer.read()
        except HTTPError as error:
            told = error.read(2000).decode("utf-8", "replace")
            message = f"{method} {self.url}{path}: {error.code} {told}"
            if error.code >= 500:
                raise Away(message) from None
            raise Denied(message, error.code) from None
        except (OSError, HTTPException) as error:
            raise Away(f"{method} {self.url}{path}: {error}") from None
        return json.loads(text) if text else None

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a DAG run."""
        found: dict[str, Any] = self.call("GET", self._path(dag_id, run_id))
        return found

    def trigger(
        self,
        dag_id: str,
        run_id: str,
        conf: dict[str, object],
        logical_date: datetime | None = None,
    ) -> None:
        """Start a DAG run, and let the DAG run at all."""
        self.call("PATCH", self._path(dag_id), body={"is_paused": False})
        date = logical_date and logical_date.isoformat()
        body = {"dag_run_id": run_id, "logical_date": date, "conf": conf}
        self.call("POST", f"{self._path(dag_id)}/dagRuns", body=body)

    def tasks(self, dag_id: str, run_id: str, **params: object) -> list[dict[str, Any]]:
        """Return the task instances of a run, all pages."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET",
                f"{self._path(dag_id, run_id)}/taskInstances",
                params={"limit": 100, "offset": len(found), **params},
            )
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    @staticmethod
    def _path(dag_id: str, run_id: str | None = None) -> str:
        path = f"/api/v2/dags/{quote(dag_id, safe='')}"
        return path if run_id is None else f"{path}/dagRuns/{quote(run_id, safe='')}"

"""The ``fetch`` task of a batch: it gives its slot back while a spent quota is waited for."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from fanfold.airflow import connections
from fanfold.airflow.settings import Options, identity, shared_directory, workspace_of
from fanfold.errors import CredentialRefused, Inconsistent, QuotaSpent
from fanfold.model import BatchRef, Status, utc_text
from fanfold.workspace import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from fanfold.fetching import Tally
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.http import Client
    from fanfold.workspace import Workspace

DEFER_FROM = 60.0
"""Seconds of waiting from which a task defers; below, a deferral costs more than the wait."""
HEED_STOP = 60.0
"""Seconds for which other batches take a refusal for granted; then one of them asks again, for a
permission may have been given to the same token."""
UNKNOWN_RESET = 300.0
"""Seconds to wait where the source does not say when its quota is full again."""


class Fetch(BaseOperator):
    """Fetch what a batch does not have yet.

    Args:
        source: Name of the source.
        batch: Reference to the batch, as ``plan`` returned it.
    """

    template_fields: Sequence[str] = ("batch",)
    ui_color = "#d7e9f7"

    def __init__(self, *, source: str, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Fetch into the workspace. Nothing goes through XCom, not even counts: it costs a request."""
        from fanfold import sources
        from fanfold.fetching.budget import open_budget
        from fanfold.sources.http import Client

        ref = BatchRef.from_json(self.batch)
        options = Options.of(context)
        workspace = workspace_of(context)
        endpoint = connections.endpoint(self.source)
        _heed_stop(workspace, _mark(context, endpoint))
        with ExitStack() as stack:
            client = stack.enter_context(Client(sources.get(self.source), endpoint))
            budget = stack.enter_context(
                open_budget(
                    shared_directory() / ".rate-limits",
                    endpoint.connection,
                    options.requests_per_second or endpoint.requests_per_second,
                    endpoint.requests_per_hour,
                )
            )
            while True:
                try:
                    tally = self._fetch(workspace, ref, client, budget, options)
                except CredentialRefused as error:
                    _stop(workspace, str(error), _mark(context, endpoint))
                    raise
                except QuotaSpent as spent:
                    self._wait(_seconds_until_reset(client, spent), spent)
                else:
                    self.log.info(
                        "%d items: %d ok, %d missing; %d requests.",
                        tally.planned,
                        tally.count(Status.OK),
                        tally.count(Status.MISSING),
                        tally.requests,
                    )
                    return

    def resume(self, context: Context, event: Any = None) -> None:  # noqa: ARG002
        """Go on after a deferral, which is to fetch what is missing."""
        self.execute(context)

    def _fetch(
        self, workspace: Workspace, ref: BatchRef, client: Client, budget: Any, options: Options
    ) -> Tally:
        from fanfold.fetching import fetch_batch

        return fetch_batch(
            workspace,
            ref.batch,
            client,
            concurrency=options.concurrency,
            budget=budget,
            log=self.log.info,
        )

    def _wait(self, seconds: float, spent: QuotaSpent) -> None:
        """Sleep through a short wait; defer for a long one."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self.log.warning("%s; what came is kept, going on at %s.", spent, utc_text(until))
        if seconds < DEFER_FROM:
            time.sleep(seconds)
            return
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        self.defer(trigger=DateTimeTrigger(moment=until), method_name="resume")


def _seconds_until_reset(client: Client, spent: QuotaSpent) -> float:
    from fanfold.errors import FanfoldError

    if spent.retry_after is not None:
        return spent.retry_after + 1
    if spent.reset_at is not None:
        return max(1.0, (spent.reset_at - datetime.now(UTC)).total_seconds() + 1)
    try:
        asked = client.source.quota_reset(client)
    except FanfoldError:
        asked = None
    return UNKNOWN_RESET if asked is None else asked + 1


def _mark(context: Context, endpoint: Endpoint) -> str:
    """Return a mark of run and token together: it tells a new token, and gives none away."""
    return hashlib.blake2b(
        (endpoint.token or "").encode(),
        key=hashlib.sha256(identity(context).run_id.encode()).digest(),
        digest_size=8,
    ).hexdigest()


def _stop(workspace: Workspace, reason: str, mark: str) -> None:
    write_json(workspace.stop, {"reason": reason, "mark": mark})


def _heed_stop(workspace: Workspace, mark: str) -> None:
    """End at once where another batch has just found the same token refused."""
    try:
        age = time.time() - workspace.stop.stat().st_mtime
        stop = read_json(workspace.stop)
    except (FileNotFoundError, Inconsistent):
        return
    if stop["mark"] == mark and age < HEED_STOP:
        raise CredentialRefused(stop["reason"])

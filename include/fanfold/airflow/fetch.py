"""The ``fetch`` task of a batch: a deferrable operator that waits for quotas without a slot."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from fanfold.airflow import connections, metrics, settings
from fanfold.errors import CredentialRefused, QuotaSpent
from fanfold.model import BatchRef, Plan, Status, utc_text
from fanfold.workspace.files import read_json
from fanfold.workspace.stop import check_stop, token_digest, write_stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from fanfold.sources.endpoint import Endpoint
    from fanfold.stages.fetching import BatchOutcomes
    from fanfold.workspace.paths import Workspace


class Fetch(BaseOperator):
    """Fetch the missing items of a batch."""

    template_fields: Sequence[str] = ("batch",)
    ui_color = "#d7e9f7"

    def __init__(self, *, source: str, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Fetch into the workspace. Nothing is returned: each XCom costs a request."""
        ref = BatchRef.from_json(self.batch)
        workspace = settings.workspace_of(context)
        endpoint = connections.endpoint(self.source)
        digest = token_digest(endpoint.token, settings.identity(context).run_id)
        check_stop(workspace, digest)
        began = time.perf_counter()
        try:
            result = self._fetch(workspace, ref, endpoint, context)
        except CredentialRefused as error:
            write_stop(workspace, error.message, digest)
            self._skip_others(workspace, ref.batch)
            raise
        except QuotaSpent as spent:
            self._wait(ref, spent)
        else:
            metrics.took(self.dag_id, "fetch", time.perf_counter() - began)
            self.log.info(
                "%d items: %d ok, %d missing; %d requests.",
                result.planned,
                result.count(Status.OK),
                result.count(Status.MISSING),
                result.requests,
            )

    def resume(self, context: Context, event: Any = None) -> None:  # noqa: ARG002
        """Continue after a deferral."""
        self.execute(context)

    def _fetch(
        self, workspace: Workspace, ref: BatchRef, endpoint: Endpoint, context: Context
    ) -> BatchOutcomes:
        from fanfold import sources
        from fanfold.rate_limit import open_rate_limiter
        from fanfold.sources.session import Session
        from fanfold.stages.fetching import fetch_batch
        from fanfold.stages.fetching.backoff import Backoff
        from fanfold.workspace.redrive import selection_of

        options = settings.Options.of(context)
        max_wait = settings.defer_after()
        with ExitStack() as stack:
            session = stack.enter_context(Session(sources.get(self.source), endpoint))
            limiter = stack.enter_context(
                open_rate_limiter(
                    settings.shared_directory() / ".rate-limits",
                    endpoint.connection,
                    options.requests_per_second or endpoint.requests_per_second,
                    endpoint.requests_per_hour,
                    redis_url=settings.rate_limit_url(),
                    max_wait=max_wait,
                )
            )
            return fetch_batch(
                workspace.batch(ref.batch),
                session,
                concurrency=options.concurrency,
                limiter=limiter,
                backoff=Backoff(max_wait=max_wait),
                selection=selection_of(
                    workspace.batch(ref.batch), context["dag_run"].clear_number or 0
                ),
                log=self.log.info,
                report=partial(metrics.fetched, self.dag_id, self.source),
            )

    def _wait(self, ref: BatchRef, spent: QuotaSpent) -> None:
        """Defer until the quota is renewed; show the time in the log and the map index label."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        from fanfold.airflow import task_messages

        until = (spent.reset_at or datetime.now(UTC)) + timedelta(seconds=1)
        self.log.warning("%s. Fetched items are kept; resuming at %s.", spent, utc_text(until))
        task_messages.show_label(f"{ref.label} · waits until {until:%H:%M:%S} UTC")
        seconds = (until - datetime.now(UTC)).total_seconds()
        metrics.deferred(self.dag_id, self.source, seconds)
        self.defer(trigger=DateTimeTrigger(moment=until), method_name="resume")

    def _skip_others(self, workspace: Workspace, batch: int) -> None:
        """Skip the batches that have not started: the source would reject the token again."""
        from fanfold.airflow import task_messages

        others = [n for n in range(Plan.from_json(read_json(workspace.plan)).batches) if n != batch]
        process = self.task_id.replace("fetch", "process")
        task_messages.skip(
            [(self.task_id, number) for number in others]
            # Process what is already fetched: the run may still be within its tolerance.
            + [(process, number) for number in others if not workspace.batch(number).parts()]
        )

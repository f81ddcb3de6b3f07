"""The ``fetch`` task of a batch: a deferrable operator that waits for quotas without a slot."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from fanfold.airflow import connections, metrics, settings
from fanfold.airflow.notifications import callbacks
from fanfold.airflow.task_errors import recorded
from fanfold.errors import BadConfiguration, CredentialRefused, QuotaSpent, RateLimitUnavailable
from fanfold.model import BatchRef, utc_text
from fanfold.sources import Api, Compute, Files, Function
from fanfold.workspace.fresh import token_of
from fanfold.workspace.limits import version_of_limits
from fanfold.workspace.stop import check_stop, token_digest, write_stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from fanfold.pipeline import Pipeline
    from fanfold.sources import Session, Source
    from fanfold.sources.endpoint import Endpoint
    from fanfold.stages.fetching.workers import WorkerPool
    from fanfold.workspace.batch import Batch


_LONG_WAIT_S = 15 * 60
"""Seconds of a wait for a quota from which people are told."""


class Fetch(BaseOperator):
    """Fetch the missing items of a batch."""

    template_fields: Sequence[str] = ("batch",)
    ui_color = "#d7e9f7"

    def __init__(self, *, pipeline: str, batch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Fetch into the workspace. Nothing is returned: each XCom costs a request."""
        from fanfold.loader import load_pipeline

        ref = BatchRef.from_json(self.batch)
        if not ref.items:
            return
        with recorded():
            pipeline = load_pipeline(self.pipeline).pipeline
            with connections.about(connections.source_connection(pipeline)):
                self._execute(context, ref, pipeline)

    def _execute(self, context: Context, ref: BatchRef, pipeline: Pipeline) -> None:
        workspace = settings.workspace_of(context)
        has_endpoint = isinstance(pipeline.source, (Api, Function))
        endpoint = connections.endpoint(pipeline) if has_endpoint else None
        token = endpoint.token if endpoint else None
        run = context["dag_run"]
        digest = token_digest(token, run.run_id, run.clear_number or 0)
        check_stop(workspace, digest)
        began = time.perf_counter()
        try:
            self._fetch(workspace.batch(ref.batch), pipeline.source, endpoint, context)
        except (CredentialRefused, BadConfiguration) as error:
            if endpoint:  # what one batch may not call, or does not find, the others neither
                write_stop(workspace, error.message, digest)
            raise
        except QuotaSpent as spent:
            self._wait(ref, spent, endpoint, context)
        else:
            metrics.took(self.dag_id, "fetch", time.perf_counter() - began)

    def resume(self, context: Context, event: Any = None) -> None:  # noqa: ARG002
        """Continue after a deferral."""
        self.execute(context)

    def _fetch(
        self, batch: Batch, source: Source, endpoint: Endpoint | None, context: Context
    ) -> None:
        from fanfold.sources.version import source_version
        from fanfold.stages.fetching import fetch_batch
        from fanfold.workspace.redrive import selection_of

        as_of = settings.identity(context).logical_date
        places: Sequence[str] = ()
        with ExitStack() as stack:
            if isinstance(source, Compute):
                from fanfold.stages.fetching.processes import ProcessRunner

                start: Any = partial(ProcessRunner, source, as_of=as_of)
            elif isinstance(source, Files):
                from fanfold.stages.fetching.downloads import Downloads

                locations = stack.enter_context(connections.locations(source.connection))
                start = partial(Downloads, locations, source.max_bytes, batch)
                places = locations.places(batch.keys())
            elif endpoint:
                session = self._session(stack, source, endpoint, context)
                start = self._workers(stack, session, endpoint, context)
                places = (session.place,)
            fetch_batch(
                batch,
                start,
                version=source_version(source),
                places=places,
                selection=selection_of(batch, context["dag_run"].clear_number or 0),
                log=self.log.info,
                report=partial(metrics.fetched, self.dag_id, self.pipeline),
            )

    @staticmethod
    def _session(
        stack: ExitStack, source: Api | Function, endpoint: Endpoint, context: Context
    ) -> Session:
        as_of = settings.identity(context).logical_date
        run = token_of(settings.workspace_of(context))
        session = connections.source_session(source, endpoint, as_of=as_of, run=run)
        return stack.enter_context(session)

    def _workers(
        self, stack: ExitStack, session: Session, endpoint: Endpoint, context: Context
    ) -> partial[WorkerPool]:
        """Return what starts the threads that send the requests of a batch."""
        from fanfold.stages.fetching.backoff import Backoff
        from fanfold.stages.fetching.workers import WorkerPool

        workspace = settings.workspace_of(context)
        version = version_of_limits(workspace)
        options = settings.Options.of(context)
        limiter = stack.enter_context(connections.rate_limiter(endpoint, options))

        def changed() -> int | None:
            """Take over a changed rate, and return the concurrency if limits were changed."""
            nonlocal version
            if version == (version := version_of_limits(workspace)):
                return None
            options = settings.Options.of(context)
            rate = options.requests_per_second or endpoint.requests_per_second
            limiter.set_rate(rate)
            self.log.info(
                "Limits were changed: concurrency %d, requests per second %s.",
                options.concurrency,
                rate or "unlimited",
            )
            return options.concurrency

        return partial(
            WorkerPool,
            session,
            limiter,
            concurrency=options.concurrency,
            backoff=Backoff(max_wait=settings.defer_after()),
            known=workspace.known_item,
            changed=changed,
        )

    def _wait(
        self, ref: BatchRef, spent: QuotaSpent, endpoint: Endpoint | None, context: Context
    ) -> None:
        """Defer until the quota is renewed; show the time in the log and the map index label."""
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        from fanfold.airflow import task_messages

        until = (spent.reset_at or datetime.now(UTC)) + timedelta(seconds=1)
        self.log.warning("%s. Fetched items are kept; resuming at %s.", spent, utc_text(until))
        task_messages.show_label(f"{ref.label} · waits until {until:%H:%M:%S} UTC")
        with suppress(RateLimitUnavailable):  # the task defers all the same
            if endpoint and (text := connections.pause_of(endpoint)[1]):
                self.log.warning("%s", text)
        seconds = (until - datetime.now(UTC)).total_seconds()
        metrics.deferred(self.dag_id, self.pipeline, seconds)
        if seconds >= _LONG_WAIT_S:
            callbacks.waiting(context, f"{spent}. The run continues at {utc_text(until)}.")
        self.defer(trigger=DateTimeTrigger(moment=until), method_name="resume")

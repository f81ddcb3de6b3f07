"""The FastAPI application that Airflow mounts under ``/fanfold``."""

from __future__ import annotations

import importlib
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

import fanfold
from fanfold.airflow.page import (
    batches,
    dataset,
    failures,
    files,
    items,
    pipelines,
    redrive,
    refusal,
    summary,
)
from fanfold.airflow.page.headers import Headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SLOW = (
    "pyarrow.parquet",
    "fanfold.queries.items",
    "fanfold.stages.comparing",
    "fanfold.stages.publishing",
)
"""What takes a second to import; whoever is the first to ask need not wait for it."""


def _import_slow_modules() -> None:
    for name in _SLOW:
        importlib.import_module(name)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    threading.Thread(target=_import_slow_modules, name="fanfold-imports", daemon=True).start()
    yield


def create_app() -> FastAPI:
    """Return the application; it holds no state."""
    app = FastAPI(
        title="Fanfold",
        description=(
            "What the run page shows. Every call asks Airflow's auth manager for the right to see "
            "runs of the DAG, and a redrive for the right to edit them. Log in as for Airflow's "
            "REST API: with its cookie, or with a bearer token."
        ),
        version=fanfold.__version__,
        lifespan=_lifespan,
        # These are routes of ours, for people who are logged in.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(Headers)
    refusal.install(app)
    app.include_router(files.router)
    for module in (pipelines, summary, batches, items, failures, dataset, redrive):
        app.include_router(module.router, prefix="/api")
    return app

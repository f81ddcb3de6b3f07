"""The FastAPI application that Airflow mounts under ``/fanfold``."""

from __future__ import annotations

import importlib
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from jsonschema import FormatChecker

from fanfold.airflow.page import (
    batches,
    comparison,
    dataset,
    failures,
    files,
    items,
    limits,
    pipelines,
    redrive,
    refusal,
    summary,
)
from fanfold.airflow.page.headers import Headers
from fanfold.uris import FORMAT, is_uri
from fanfold.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SLOW = ("fanfold.stages.publishing",)
"""Modules that take long to import, here boto3; imported in the background."""


def _import_slow_modules() -> None:
    for name in _SLOW:
        importlib.import_module(name)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    threading.Thread(target=_import_slow_modules, name="fanfold-imports", daemon=True).start()
    yield


def create_app() -> FastAPI:
    """Return the application; it holds no state.

    Also makes this process, Airflow's api-server, reject a run whose ``items_uri`` is invalid.
    """
    FormatChecker.checkers[FORMAT] = (is_uri, ())
    app = FastAPI(
        title="Fanfold",
        description=(
            "The API of the run page. Every call requires Airflow's permission to read the runs of "
            "the DAG; a redrive requires the permission to edit them. Authentication is that of "
            "Airflow's REST API: its cookie or a bearer token."
        ),
        version=__version__,
        lifespan=_lifespan,
        # Replaced by routes in `files`, which require a login.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(Headers)
    refusal.install(app)
    app.include_router(files.router)
    modules = (
        *(pipelines, summary, batches, items, failures, dataset, comparison),
        *(redrive, limits),
    )
    for module in modules:
        app.include_router(module.router, prefix="/api")
    return app

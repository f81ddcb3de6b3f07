"""The static page and its files, and the page that describes the API."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

import fastapi_offline
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse

import fanfold.messages
from fanfold.airflow.page.access import MAY_SEE, MAY_SEE_SOME
from fanfold.airflow.page.headers import POLICY
from fanfold.airflow.page.refusal import Refusal

_STATIC = Path(__file__).parent / "static"
_SWAGGER = Path(fastapi_offline.__file__).parent / "static"
_FROM_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
_ASKED_FOR_LATER = frozenset({"chart.js", "docs.js", "vendor/uplot.js", "swagger-ui-bundle.js"})

router = APIRouter(include_in_schema=False)


def _logged_in(_: GetUserDep) -> None:
    """Ask for a person, whoever it is: these files say nothing about any run."""


LOGGED_IN = Depends(_logged_in)


@cache
def _files() -> dict[str, Path]:
    """Return what may be asked for by name: no path is made of what a client sends."""
    ours = {
        path.relative_to(_STATIC).as_posix(): path for path in _STATIC.rglob("*") if path.is_file()
    }
    messages = Path(fanfold.messages.__file__).with_suffix(".json")
    swagger = {name: _SWAGGER / name for name in _FROM_SWAGGER}
    return {**ours, **swagger, "messages.json": messages}


@cache
def _version() -> str:
    """Return a name for what all files hold together: another content has another name."""
    digest = hashlib.sha256()
    for name, path in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _page() -> str:
    """Return the page: its files are asked for by version, and all modules at once."""
    text = _files()["page.html"].read_text("utf-8")
    modules = [
        f'    <link rel="modulepreload" href="static/{name}">\n'
        for name in sorted(_files())
        if name.endswith(".js") and name not in _ASKED_FOR_LATER
    ]
    text = text.replace("  </head>", "".join(modules) + "  </head>")
    return text.replace('="static/', f'="static/{_version()}/')


def _file(name: str, *, cached: bool) -> FileResponse:
    path = _files().get(name)
    if path is None:
        raise Refusal(404, "no_file", "There is no such file.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # Under its version a file never changes. Otherwise the browser asks each time.
    control = "private, max-age=31536000, immutable" if cached else "no-cache"
    return FileResponse(
        path,
        media_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        headers={"Cache-Control": control},
    )


@router.get("/run", dependencies=MAY_SEE)
def run_page() -> HTMLResponse:
    """Return the page of a run; its script asks the API for the numbers."""
    return HTMLResponse(_page())


@router.get("/pipelines", dependencies=MAY_SEE_SOME)
def pipelines_page() -> HTMLResponse:
    """Return the page of all pipelines: the same file."""
    return HTMLResponse(_page())


@router.get("/static/{version}/{name:path}", dependencies=[LOGGED_IN])
def static_file(version: str, name: str) -> FileResponse:
    """Return a file of the page.

    While api-servers are upgraded one after the other, a page may ask one of them for the files of
    another version: it gets what there is, and keeps it for this once.
    """
    return _file(name, cached=version == _version())


@router.get("/docs", dependencies=[LOGGED_IN])
def docs_page() -> HTMLResponse:
    """Return the page that describes the API."""
    # Swagger UI writes style attributes; nothing that a client sent is on that page.
    policy = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    text = _files()["docs.html"].read_text("utf-8").replace("static/", f"static/{_version()}/")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


@router.get("/openapi.json", dependencies=[LOGGED_IN])
def openapi(request: Request) -> dict[str, Any]:
    """Return the description of the API."""
    document: dict[str, Any] = request.app.openapi()
    return {**document, "servers": [{"url": request.scope.get("root_path", "")}]}

"""The static page and its files, and the API documentation."""

from __future__ import annotations

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse

import fanfold.messages
from fanfold.airflow.page.access import MAY_SEE, MAY_SEE_SOME
from fanfold.airflow.page.headers import POLICY
from fanfold.airflow.page.refusal import Refusal

_STATIC = Path(__file__).parent / "static"
_LOADED_LATER = frozenset({"docs.js", "vendor/swagger-ui-bundle.js"})

router = APIRouter(include_in_schema=False)


def _logged_in(_: GetUserDep) -> None:
    """Require a login, without further permissions: these files hold no data of runs."""


LOGGED_IN = Depends(_logged_in)


@cache
def _files() -> dict[str, Path]:
    """Return the files by name; a path is never made from the input of a client."""
    ours = {
        path.relative_to(_STATIC).as_posix(): path for path in _STATIC.rglob("*") if path.is_file()
    }
    messages = Path(fanfold.messages.__file__).with_suffix(".json")
    return {**ours, "messages.json": messages}


@cache
def _version() -> str:
    """Return a digest of the contents of all files."""
    digest = hashlib.sha256()
    for name, path in sorted(_files().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _page() -> str:
    """Return the page, with versioned URLs and a preload of all modules."""
    text = _files()["page.html"].read_text("utf-8")
    modules = [
        f'    <link rel="modulepreload" href="static/{name}">\n'
        for name in sorted(_files())
        if name.endswith(".js") and name not in _LOADED_LATER
    ]
    text = text.replace("  </head>", "".join(modules) + "  </head>")
    return text.replace('="static/', f'="static/{_version()}/')


def _file(name: str, *, cached: bool) -> FileResponse:
    path = _files().get(name)
    if path is None:
        raise Refusal(404, "no_file", "There is no such file.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # A file never changes under its version; otherwise the browser revalidates it.
    control = "private, max-age=31536000, immutable" if cached else "no-cache"
    return FileResponse(
        path,
        media_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        headers={"Cache-Control": control},
    )


@router.get("/run", dependencies=MAY_SEE)
def run_page() -> HTMLResponse:
    """Return the page of a run; its script fetches the data from the API."""
    return HTMLResponse(_page())


@router.get("/pipelines", dependencies=MAY_SEE_SOME)
def pipelines_page() -> HTMLResponse:
    """Return the page of all pipelines; it is the same file."""
    return HTMLResponse(_page())


@router.get("/static/{version}/{name:path}", dependencies=[LOGGED_IN])
def static_file(version: str, name: str) -> FileResponse:
    """Return a file of the page.

    During a rolling upgrade, a page may request files of another version than this server's. It gets
    the current files, which the browser does not cache then.
    """
    return _file(name, cached=version == _version())


@router.get("/docs", dependencies=[LOGGED_IN])
def docs_page() -> HTMLResponse:
    """Return the API documentation (Swagger UI)."""
    # Swagger UI writes style attributes; this page shows no input of a client.
    policy = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    text = _files()["docs.html"].read_text("utf-8").replace("static/", f"static/{_version()}/")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


@router.get("/openapi.json", dependencies=[LOGGED_IN])
def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    return {**document, "servers": [{"url": request.scope.get("root_path", "")}]}

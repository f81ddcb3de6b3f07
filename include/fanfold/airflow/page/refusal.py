"""Requests that are rejected: an HTTP status, a code for the page, and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fanfold.airflow.page.schemas import ApiError
from fanfold.errors import BadConfiguration, FanfoldError, SinkUnavailable, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI, Request

_CODES = {401: "no_login", 403: "no_right"}


class Refusal(Exception):  # noqa: N818 - a response, not a failure
    """A response other than 200."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body = ApiError(code=code, detail=detail)


def _respond(status: int, body: ApiError) -> JSONResponse:
    return JSONResponse(body.model_dump(), status)


def validation_refusal(errors: Iterable[Mapping[str, Any]]) -> Refusal:
    """Return the response to a request that does not match the schema.

    It does not repeat the input: JSON allows texts and numbers that cannot be serialised again.
    """
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
    return Refusal(422, "senseless", said[:500].encode("ascii", "backslashreplace").decode())


def install(app: FastAPI) -> None:
    """Convert the errors that routes raise into responses."""

    @app.exception_handler(Refusal)
    def refused(_: Request, error: Refusal) -> JSONResponse:
        return _respond(error.status, error.body)

    @app.exception_handler(FanfoldError)
    def failed(_: Request, error: FanfoldError) -> JSONResponse:
        if isinstance(error, WorkspaceUnavailable):
            return _respond(503, ApiError(code="workspace_away", detail=str(error)))
        if isinstance(error, BadConfiguration | SinkUnavailable):
            return _respond(503, ApiError(code="storage_away", detail=str(error)))
        return _respond(500, ApiError(code="damaged", detail=str(error)))

    @app.exception_handler(HTTPException)
    def denied(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "refused")
        answer = _respond(error.status_code, ApiError(code=code, detail=str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        refusal = validation_refusal(error.errors())
        return _respond(refusal.status, refusal.body)

    @app.exception_handler(OSError)
    def unreadable(_: Request, error: OSError) -> JSONResponse:
        said = f"The shared directory cannot be read: {error.strerror or type(error).__name__}."
        return _respond(503, ApiError(code="workspace_away", detail=said))


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of these responses and of those that every route has."""
    return {status: {"model": ApiError} for status in sorted({401, 403, 422, *statuses})}

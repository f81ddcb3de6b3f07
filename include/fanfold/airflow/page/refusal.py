"""A request that is refused: a status, a word for the page, and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from fanfold.airflow.page.answers import Problem
from fanfold.errors import BadConfiguration, FanfoldError, SinkUnavailable, WorkspaceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI, Request

_CODES = {401: "no_login", 403: "no_right"}


class Refusal(Exception):  # noqa: N818 - an answer, no error of ours
    """An answer other than 200.

    Attributes:
        status: The HTTP status.
        problem: What is said.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = Problem(code=code, detail=detail)


def _respond(status: int, problem: Problem) -> JSONResponse:
    return JSONResponse(problem.model_dump(), status)


def senseless(errors: Iterable[Mapping[str, Any]]) -> Refusal:
    """Return the refusal of a request that does not fit its description.

    What was sent is not repeated: JSON takes texts and numbers that cannot be written again.
    """
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
    return Refusal(422, "senseless", said[:500].encode("ascii", "backslashreplace").decode())


def install(app: FastAPI) -> None:
    """Turn what the routes raise into answers."""

    @app.exception_handler(Refusal)
    def refused(_: Request, error: Refusal) -> JSONResponse:
        return _respond(error.status, error.problem)

    @app.exception_handler(FanfoldError)
    def failed(_: Request, error: FanfoldError) -> JSONResponse:
        if isinstance(error, WorkspaceUnavailable):
            return _respond(503, Problem(code="workspace_away", detail=str(error)))
        if isinstance(error, BadConfiguration | SinkUnavailable):
            return _respond(503, Problem(code="storage_away", detail=str(error)))
        return _respond(500, Problem(code="damaged", detail=str(error)))

    @app.exception_handler(HTTPException)
    def denied(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "refused")
        answer = _respond(error.status_code, Problem(code=code, detail=str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        refusal = senseless(error.errors())
        return _respond(refusal.status, refusal.problem)

    @app.exception_handler(OSError)
    def unreadable(_: Request, error: OSError) -> JSONResponse:
        said = f"The shared directory cannot be read: {error.strerror or type(error).__name__}."
        return _respond(503, Problem(code="workspace_away", detail=said))


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these answers for OpenAPI, and of those that every route gives."""
    return {status: {"model": Problem} for status in sorted({401, 403, 422, *statuses})}

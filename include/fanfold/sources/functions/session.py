"""A session with the functions of a source: what ``fetch`` and ``preflight`` ask of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from fanfold.errors import BadPipeline, FanfoldError, ItemRefused
from fanfold.injection import inject
from fanfold.messages import ENGINE
from fanfold.sources import Api, Call, Found, NotThere, Page, Reply
from fanfold.sources.author_errors import author_error
from fanfold.sources.paging import MISSING, at_path
from fanfold.sources.session import ApiSession
from fanfold.sources.template import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from fanfold.model import Item
    from fanfold.sources import Function, Quota, Session
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.functions import Service


def open_session(
    source: Api | Function,
    endpoint: Endpoint,
    client: Callable[[dict[str, Any]], Any],
    *,
    as_of: datetime,
    run: str,
) -> Session:
    """Open a session with an API or functions.

    ``client`` makes a boto3 client for Lambda with some options; ``run`` names the run in idempotency keys.
    """
    if isinstance(source, Api):
        return ApiSession(source, endpoint, as_of=as_of)
    return FunctionSession(source, open_service(source, endpoint, client), as_of=as_of, run=run)


def open_service(
    function: Function, endpoint: Endpoint, client: Callable[[dict[str, Any]], Any]
) -> Service:
    """Return the service at an endpoint; ``client`` makes a boto3 client for Lambda with some options."""
    # Only what is used is imported: botocore takes 0.2 s.
    if endpoint.service == "lambda":
        from fanfold.sources.functions.aws_lambda import LambdaService, client_options

        return LambdaService(client(client_options(function, endpoint)), function, endpoint)
    limited = replace(endpoint, read_timeout=function.time_limit)
    if endpoint.service == "scf":
        from fanfold.sources.functions.tencent_scf import ScfService

        return ScfService(function, limited)
    from fanfold.sources.functions.http_function import HttpService

    return HttpService(limited)


class FunctionSession:
    """The functions of a source. Thread-safe; a context manager that closes its connections.

    Attributes:
        items_per_request: 1.
        place: URL of the service, with its region.
    """

    items_per_request = 1

    def __init__(self, function: Function, service: Service, *, as_of: datetime, run: str) -> None:
        """Create a session; ``run`` names the run in idempotency keys."""
        self._function = function
        self._service = service
        self.place = service.place
        self._as_of = as_of
        self._run = run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def fetch(self, items: Sequence[Item], page: Page | None = None) -> Reply:
        """Call a function for an item: the first one, or that of ``page`` with the result before it.

        Raises:
            BadPipeline: The payload has an unknown name.
            CredentialRefused, BadConfiguration: Needs manual action: no call will succeed.
            SourceBusy: The call may be repeated.
            ItemRefused: The function failed, or another call would end in the same way.
        """
        (item,) = items
        step = page.number - 1 if page else 0
        name = self._function.names[step]
        key = self._idempotency_key(item, step)
        payload = self._encoded(name, page.call.json if page else self._payload(item, key))
        returned = self._service.call(name, payload, key)
        try:
            if step + 1 < len(self._function.names):
                following = Page(Call(name, json=returned.document), step + 2, b"")
                reply = Reply({item.key: ()}, {}, following=following)
            else:
                reply = self._reply(item, name, returned.document)
        except FanfoldError as error:
            error.gb_seconds = returned.gb_seconds
            raise
        return replace(reply, gb_seconds=returned.gb_seconds)

    def _idempotency_key(self, item: Item, step: int) -> str:
        name = self._function.names[step]
        calls = self._function.names[:step].count(name)  # of the same function for the item
        text = f"{self._run}\0{item.key}\0{name}\0{calls}"
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()

    def _payload(self, item: Item, key: str) -> Any:
        payload = self._function.payload
        if not callable(payload):
            return filled(payload, item, self._as_of, idempotency_key=key)
        try:
            return inject(payload, as_of=self._as_of, idempotency_key=key)(item)
        except FanfoldError:
            raise
        except Exception as error:
            raise ItemRefused(author_error(error, payload)) from error

    def _encoded(self, name: str, document: Any) -> bytes:
        try:
            payload = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise ItemRefused(ENGINE.message("http.not_unicode", path=name)) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ItemRefused(
                ENGINE.message("call.payload_not_json", name=name, error=str(error))
            ) from None
        limit = self._service.max_bytes
        if limit is not None and len(payload) > limit:
            raise ItemRefused(
                ENGINE.message("call.payload_too_large", name=name, bytes=len(payload), limit=limit)
            )
        return payload

    def _reply(self, item: Item, name: str, document: Any) -> Reply:
        read = self._function.read
        if read is None:
            found = self._found(name, document)
        else:
            try:
                found = read(item, document)
            except FanfoldError:
                raise
            except Exception as error:
                raise ItemRefused(author_error(error, read)) from error
        if isinstance(found, Found):
            return Reply({item.key: found.records}, {})
        if not isinstance(found, NotThere):
            raise BadPipeline(
                f"Function: read must return Found or NotThere, not {type(found).__name__}."
            )
        return Reply({}, {item.key: found.message})

    def _found(self, name: str, document: Any) -> Found | NotThere:
        path = self._function.records
        found = None if document is None else at_path(document, path)
        if found is None:
            return NotThere(ENGINE.message("call.null", name=name))
        if isinstance(found, dict):
            return Found((found,))
        if isinstance(found, list) and all(isinstance(record, dict) for record in found):
            return Found(found)
        message_id = "call.no_records" if found is MISSING else "call.not_records"
        raise ItemRefused(ENGINE.message(message_id, name=name, records=path or "result"))

    def check(self) -> None:
        """Check that the functions exist and may be called; raises as :meth:`fetch` does."""
        for name in dict.fromkeys(self._function.names):
            self._service.check(name)

    def quota(self) -> Quota | None:
        """Return None: no service reports a quota."""
        return None

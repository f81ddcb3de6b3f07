"""Templates of requests: ``{name}`` is a value of the item.

Not ``str.format``: keys and attributes are data from outside, and a template must not reach into them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from fanfold.errors import BadPipeline, ItemRefused
from fanfold.messages import ENGINE
from fanfold.sources import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fanfold.model import Item
    from fanfold.sources import Api

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def rendered(api: Api, item: Item, as_of: datetime) -> Call:
    """Return the request for an item, with its values in path, query and body.

    Raises:
        BadPipeline: A template has a name that is neither ``key``, ``as_of`` nor an attribute of the
            item.
        ItemRefused: The item has no value for a name, or one that would change the path.
    """
    values = {**item.attributes, "key": item.key, "as_of": f"{as_of:%Y-%m-%d}"}
    try:
        path = _filled(api.path, values, lambda text: quote(text, safe=""))
    except UnicodeEncodeError:
        raise ItemRefused(ENGINE.message("http.not_unicode", path=api.path)) from None
    for segment in path.split("/"):
        if unquote(segment) in {".", ".."}:  # servers resolve these
            raise ItemRefused(ENGINE.message("api.dots", segment=unquote(segment)))
    query = {name: _filled(text, values) for name, text in api.query.items()}
    return Call(path, query, _document(api.json, values))


def filled(template: Any, item: Item, as_of: datetime, **values: str) -> Any:
    """Return a JSON document with the values of an item, and others; raises as :func:`rendered` does."""
    known = {**item.attributes, "key": item.key, "as_of": f"{as_of:%Y-%m-%d}", **values}
    return _document(template, known)


def _document(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        return _filled(template, values)
    if isinstance(template, dict):
        return {name: _document(value, values) for name, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [_document(value, values) for value in template]
    return template


def _filled(template: str, values: Mapping[str, Any], quoted: Callable[[str], str] = str) -> str:
    def value(field: re.Match[str]) -> str:
        if field[0] in {"{{", "}}"}:
            return field[0][0]
        name = field[1]
        if name is None or name not in values:
            raise BadPipeline(
                f"The template {template!r} has {field[0]!r}; available: "
                f"{', '.join(f'{{{name}}}' for name in sorted(values))}. "
                "Attributes are the other columns of the items; write {{ and }} for braces."
            )
        found = values[name]
        if found is None:
            raise ItemRefused(ENGINE.message("api.no_value", name=name))
        return quoted(str(found))

    return _FIELD.sub(value, template)

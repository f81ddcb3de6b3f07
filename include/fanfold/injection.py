"""Functions of a pipeline ask for what they need by the names of their parameters."""

from __future__ import annotations

import inspect
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def inject(function: Callable[..., Any], **available: Any) -> Callable[..., Any]:
    """Return the function with those of the available values bound that its signature names."""
    wanted = {name: value for name, value in available.items() if name in parameters_of(function)}
    return partial(function, **wanted) if wanted else function


def unknown_parameters(function: Callable[..., Any], names: Sequence[str]) -> list[str]:
    """Return the parameters after the first that need a value and have none of these names."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[1:]
    except ValueError:  # some functions written in C
        return []
    return [
        each.name
        for each in parameters
        if each.default is each.empty
        and each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}
        and each.name not in names
    ]


@lru_cache(maxsize=256)
def parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters of a function that can be given by name."""
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C
        return frozenset()
    return frozenset(each.name for each in parameters if each.kind in named)

"""Pass a function of a pipeline what it asks for by the names of its parameters."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def inject(function: Callable[..., T], **available: Any) -> Callable[..., T]:
    """Return the function with those of the available values that its signature names."""
    names = inspect.signature(function).parameters
    wanted = {name: value for name, value in available.items() if name in names}
    return functools.partial(function, **wanted)

"""Faults of functions in a cloud; other APIs ignore them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.simulator import functions
from fanfold.simulator.exchange import Delivery, Reply, deliver
from fanfold.simulator.faults.case import Case, kind
from fanfold.simulator.handlers import failure, timed_out

if TYPE_CHECKING:
    from collections.abc import Callable


def _function_fault(name: str, instead: Callable[[Case], Reply]) -> None:
    """Register a fault that answers a call instead of the function."""

    @kind(name)
    def _answer(case: Case) -> Delivery:
        return deliver(instead(case) if case.api is functions else case.correct())


_function_fault(
    "throttle", lambda case: functions.throttled(case.request, case.settings.retry_after_s)
)
_function_fault(
    "function_error",
    lambda case: functions.reply(
        case.request, failure("RuntimeError", "the simulator injected this error")
    ),
)
_function_fault(
    "function_timeout",
    lambda case: functions.reply(
        case.request,
        timed_out(case.request.id, case.settings.function_time_s, case.settings.function_memory_mb),
    ),
)
_function_fault(
    "function_too_large",
    lambda case: functions.reply(
        case.request,
        failure(
            "Function.ResponseSizeTooLarge",
            "Response payload size (7000000 bytes) exceeded maximum allowed payload size "
            "(6291556 bytes).",
        ),
    ),
)

"""The language in which a person reads what the pipeline wrote: reasons and rules.

The page says which one in ``Accept-Language``; who sends none reads English. What the source itself
sent, keys and values, stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header

from fanfold.chinese import broken_in_chinese, reason_in_chinese, rule_in_chinese

if TYPE_CHECKING:
    from fanfold.model import Outcome


def _reads_chinese(
    # Browsers send it by themselves: no part of the description.
    accept_language: Annotated[str, Header(include_in_schema=False)] = "",
) -> bool:
    return accept_language.strip().lower().startswith("zh")


ReadsChineseDep = Annotated[bool, Depends(_reads_chinese)]
"""Whether a person reads Chinese; English is for all others."""


def reason_for(reason: str, *, chinese: bool) -> str:
    """Return a reason in the language of who reads it."""
    return reason_in_chinese(reason) if chinese else reason


def rule_for(rule: str | None, *, chinese: bool) -> str | None:
    """Return a rule of the contract in the language of who reads it."""
    return rule_in_chinese(rule) if chinese and rule else rule


def outcome_for(outcome: Outcome, *, chinese: bool) -> Outcome:
    """Return an outcome in the language of who reads it."""
    if not chinese:
        return outcome
    if outcome.column is None:
        return replace(outcome, reason=reason_in_chinese(outcome.reason))
    rule = outcome.rule or ""
    reason = broken_in_chinese(outcome.column, outcome.value, rule)
    return replace(outcome, reason=reason, rule=rule_in_chinese(rule))

"""The language of the person who reads: reasons and rules of the pipeline are translated.

Browsers send the language in ``Accept-Language``; without it, the texts are English. Keys and values
come from the source and are not translated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header

from fanfold.airflow.page.access import RunDep
from fanfold.messages import ENGINE, Catalogue, Language, Message

if TYPE_CHECKING:
    from fanfold.model import Outcome, Rejected


@dataclass(frozen=True, slots=True)
class Translator:
    """Returns texts of a run in one language."""

    language: Language
    catalogue: Catalogue

    def reason(self, message: Message) -> str:
        """Return a reason."""
        return self.catalogue.translate(message, self.language)

    def rule(self, rule: str | None) -> str | None:
        """Return a rule of the contract."""
        return rule and self.catalogue.rule(rule, self.language)

    def outcome(self, outcome: Outcome) -> Outcome:
        """Return an outcome with its reason and its rule translated."""
        if self.language == "en":
            return outcome
        if outcome.column is None:
            return replace(outcome, reason=self.reason(outcome.message))
        rule = self.rule(outcome.rule)
        broken = {"column": outcome.column, "value": repr(outcome.value), "rule": rule}
        reason = self.reason(Message(outcome.reason, "item.invalid", broken))
        return replace(outcome, reason=reason, rule=rule)

    def rejected(self, row: Rejected) -> Rejected:
        """Return a rejected row with its rule translated."""
        return replace(row, rule=self.rule(row.rule) or "")


def _translator(
    run: RunDep,
    # Browsers send it: not part of the OpenAPI document.
    accept_language: Annotated[str, Header(include_in_schema=False)] = "",
) -> Translator:
    if not accept_language.strip().lower().startswith("zh"):
        return Translator("en", ENGINE)
    plan = run.plan()
    return Translator("zh", Catalogue(ENGINE.texts, plan.messages if plan else {}))


TranslatorDep = Annotated[Translator, Depends(_translator)]
"""Translates what the pipeline wrote for the person who asks."""

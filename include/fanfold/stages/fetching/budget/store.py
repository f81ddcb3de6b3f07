"""Where the state of a budget is kept, as the tasks that ask see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.stages.fetching.budget.pacing import Lease, Refusal


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store says.

    Attributes:
        given: A lease, or why there is none; None where it was asked for a hold and there is none.
        asked_at: When it was asked, in seconds of ``time.monotonic``.
        answered_at: When the answer was there; the store's "now" lies between the two.
    """

    given: Lease | Refusal | None
    asked_at: float
    answered_at: float


class Store(Protocol):
    """One connection's state, shared with other processes.

    Every method may be called by several threads at once, and raises ``BudgetUnavailable`` where
    the state cannot be had now.
    """

    def take(self, wanted: int, unused: Sequence[int], slack: int) -> Answer:
        """Lease slots for ``wanted`` requests, or fewer; give ``unused`` ones back."""

    def move(self, slot: int, slack: int) -> Answer:
        """Lease a slot that begins now instead of one that went by."""

    def look(self) -> Answer:
        """Return the hold that stands, if one does."""

    def hold(self, seconds: float, reason: str) -> None:
        """Hold everybody; a longer hold that stands is kept."""

    def give_back(self, unused: Sequence[int]) -> None:
        """Give slots back that were not used."""

    def close(self) -> None:
        """Let go of what is open."""

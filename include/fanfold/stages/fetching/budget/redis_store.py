"""The state of a budget in Redis, for workers on several machines.

One script does all of it, in one round trip and by the server's clock: no two workers' clocks are
compared. A worker's own clock only measures how long the answer took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from fanfold.errors import BadConfiguration, BudgetUnavailable
from fanfold.stages.fetching.budget.pacing import SECOND, Lease, Refusal
from fanfold.stages.fetching.budget.store import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.stages.fetching.budget.pacing import Terms

_SECONDS: Final = 3.0
"""For a connection, and for an answer."""


@dataclass(slots=True)
class RedisStore:
    """A budget in Redis.

    Attributes:
        client: The connections to the server; a pool, safe for threads.
        script: ``budget.lua``, registered; loaded again by itself where the server forgot it.
            key: Of the connection, with the version of what lies there.
        terms: What this process may ask for.
        place: The server without its password, for messages.
    """

    client: Redis
    script: Any
    key: str
    terms: Terms
    place: str

    @classmethod
    def at(cls, url: str, connection: str, terms: Terms) -> Self:
        """Return the store of a connection; nothing is asked yet.

        Raises:
            BadConfiguration: The URL is not one of a Redis.
        """
        try:
            parts = urlsplit(url)
            place = f"{parts.hostname or parts.path}:{parts.port or 6379}"
            client = Redis.from_url(
                url,
                socket_connect_timeout=_SECONDS,
                socket_timeout=_SECONDS,
                # Not repeated in here: the gate repeats, and heeds a stop meanwhile.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # Not chained: its text may hold a part of the password.
            raise BadConfiguration(
                "FANFOLD_RATE_LIMIT_URL is not the address of a Redis. It looks like "
                "redis://:password@host:6379/0 (rediss:// with TLS, unix:///path for a socket); "
                "characters such as / in a password are written as %2F"
            ) from None
        script = client.register_script(files(__package__).joinpath("budget.lua").read_text())
        return cls(client, script, f"fanfold:budget:1:{connection}", terms, place)

    def take(self, wanted: int, unused: Sequence[int], slack: int) -> Answer:
        """Lease slots for ``wanted`` requests, or fewer; give ``unused`` ones back."""
        return self._run("take", self._lane(), self.terms.per_hour or 0, wanted, slack, *unused)

    def move(self, slot: int, slack: int) -> Answer:
        """Lease a slot that begins now instead of one that went by."""
        return self._run("move", self._lane(), slot, slack)

    def look(self) -> Answer:
        """Return the hold that stands, if one does."""
        answer = self._run("look")
        if isinstance(answer.given, Refusal) and answer.given.why == "hold":
            return answer
        return Answer(None, answer.asked_at, answer.answered_at)

    def hold(self, seconds: float, reason: str) -> None:
        """Hold everybody; a longer hold that stands is kept."""
        self._run("hold", int(seconds * SECOND), reason)

    def give_back(self, unused: Sequence[int]) -> None:
        """Give slots back that were not used."""
        self.take(0, unused, 0)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _lane(self) -> str:
        return self.terms.lane.name if self.terms.lane else ""

    def _run(self, *arguments: str | int) -> Answer:
        asked_at = time.monotonic()
        try:
            kind, now, wait, more = self.script(keys=[self.key], args=arguments)
        except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
            raise BadConfiguration(
                f"The Redis of FANFOLD_RATE_LIMIT_URL ({self.place}) refuses user or password: {error}"
            ) from error
        except RedisError as error:
            text = str(error)
            if isinstance(error, ResponseError) and ("NOAUTH" in text or "DB index" in text):
                raise BadConfiguration(
                    f"The Redis of FANFOLD_RATE_LIMIT_URL ({self.place}) answers: {error}"
                ) from error
            raise BudgetUnavailable(
                f"The Redis of FANFOLD_RATE_LIMIT_URL ({self.place}) does not give the rate budget: "
                f"{error}. Nothing is asked for without it"
            ) from error
        answered_at = time.monotonic()
        why = kind.decode()
        given = Lease(now, tuple(more)) if why == "lease" else Refusal(wait, why, more.decode())
        return Answer(given, asked_at, answered_at)

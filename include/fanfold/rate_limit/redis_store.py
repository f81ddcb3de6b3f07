"""Shared state in Redis, for workers on several machines.

Permits are counted by the server's clock, so the clocks of the workers do not matter.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from pyrate_limiter import RedisStateStore
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

from fanfold.errors import BadConfiguration, RateLimitUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrate_limiter import Decision, Rate, StateAlgorithm

_TIMEOUT: Final = 3.0
"""Seconds to connect, and to wait for a reply."""
_TTL_MS: Final = 7 * 24 * 3600 * 1000
"""A state that expired counts as lost, which costs one window: keep it for long."""
_PAUSE: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
"""


class RedisStore(RedisStateStore):
    """A rate-limit state in a hash, and the pause in a key that expires."""

    def __init__(self, client: Redis, scope: str, address: str) -> None:
        super().__init__(client, f"fanfold:rate-limit:{scope}", _TTL_MS)
        self._client = client
        self._address = address
        self._pause_key = f"fanfold:pause:{scope}"
        self.to_resume = f"delete the key {self._pause_key} in the Redis {address}"
        self._pause = client.register_script(_PAUSE)

    @classmethod
    def at(cls, url: str, scope: str) -> Self:
        """Return the store of a rate limit, without connecting yet.

        Raises:
            BadConfiguration: The URL is not a Redis URL.
        """
        try:
            parts = urlsplit(url)
            address = f"{parts.hostname or parts.path}:{parts.port or 6379}"
            client = Redis.from_url(
                url,
                socket_connect_timeout=_TIMEOUT,
                socket_timeout=_TIMEOUT,
                # The limiter retries, and stops when it is asked to.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # Not chained: the original message may contain part of the password.
            raise BadConfiguration(
                "FANFOLD_RATE_LIMIT_URL is not a Redis URL. Expected "
                "redis://:password@host:6379/0 (rediss:// for TLS, unix:///path for a socket); "
                "characters such as / in the password are written as %2F"
            ) from None
        return cls(client, scope, address)

    def check(
        self, algorithm: StateAlgorithm, rates: list[Rate], now: int, weight: int
    ) -> Decision:
        """Take ``weight`` permits at ``now`` (ms; 0: the server's time), or return how long to wait."""
        with self._translated_errors():
            return super().check(algorithm, rates, now, weight)  # type: ignore[no-any-return, no-untyped-call]

    def pause(self, seconds: float, reason: str) -> None:
        """Pause all workers; a longer pause that is already in effect is kept."""
        if (milliseconds := int(seconds * 1000)) > 0:
            with self._translated_errors():
                self._pause(keys=[self._pause_key], args=[milliseconds, reason])

    def paused(self) -> tuple[float, str]:
        """Return the remaining seconds of the pause, and its reason."""
        with self._translated_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.pttl(self._pause_key)
            pipeline.get(self._pause_key)
            left, reason = pipeline.execute()
        return left / 1000, (reason or b"").decode()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        where = f"The Redis of FANFOLD_RATE_LIMIT_URL ({self._address})"
        try:
            yield
        except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
            raise BadConfiguration(f"{where} rejects the user or password: {error}") from error
        except RedisError as error:
            text = str(error)
            if isinstance(error, ResponseError) and ("NOAUTH" in text or "DB index" in text):
                raise BadConfiguration(f"{where} replies: {error}") from error
            raise RateLimitUnavailable(
                f"{where} is unavailable: {error}. No request is sent without a permit"
            ) from error

"""The two limits of a client, and what is left of them as the `RateLimit` fields have it.

Source of the fields: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/
"""

import math
from functools import lru_cache
from typing import NamedTuple

from app.access.usage import Record

DAY_SECONDS = 86_400
# A process may use the requests of a share until the end of the period after the one in which it took them.
PERIOD_SECONDS = 0.25
# Of a request. Sums of many small numbers are inexact.
_TOLERANCE = 1e-6


class Allowance(NamedTuple):
    """What a client may use by one policy, after it has asked for some.

    Attributes:
        name: of the policy.
        unit: that it counts.
        quota: units in each window.
        window: seconds.
        left: units that it may use now.
        seconds: until all units are there again; if it did not get what it asked for, until it may ask again.
        is_granted: whether it got what it asked for.
    """

    name: str
    unit: str
    quota: int
    window: int
    left: int
    seconds: float
    is_granted: bool

    @property
    def policy(self) -> str:
        """The item of the field `RateLimit-Policy`."""
        return _describe_policy(self.name, self.unit, self.quota, self.window)

    @property
    def service_limit(self) -> str:
        """The item of the field `RateLimit`."""
        return f'"{self.name}";r={self.left};t={math.ceil(self.seconds)}'

    def add(self, units: int, seconds: float) -> "Allowance":
        """Return the allowance with so many more units left, which are all there again after these seconds."""
        return Allowance(self.name, self.unit, self.quota, self.window, self.left + units, seconds, self.is_granted)


def take_request(record: Record, rate: float, burst: int | None, now: float) -> Allowance:
    """Take a request from the burst, which fills up with time.

    Args:
        record: of the client; it changes if the request is granted.
        rate: requests a second.
        burst: requests at once; by default of one second.
        now: on the clock of `time.monotonic`.
    """
    used = _find_used(record, rate, now)
    burst = burst or math.ceil(rate)
    is_granted = used + 1 <= burst + _TOLERANCE
    if is_granted:
        _fill_burst(record, rate, now)
        used = record.requests = used + 1
    return _describe_rate(used, rate, burst, is_granted)


def hold_requests(record: Record, rate: float, burst: int | None, requests: int, now: float) -> Allowance:
    """Take requests for a share, and return what is left without them. They have to be left before.

    While they are held, the burst does not fill up with them.

    Args:
        record: of the client.
        rate: requests a second.
        burst: see `take_request`.
        requests: how many.
        now: see `take_request`.
    """
    _fill_burst(record, rate, now)
    record.requests += requests
    record.held += requests
    return _describe_rate(record.requests, rate, burst or math.ceil(rate), is_granted=True)


def return_requests(record: Record, rate: float, held: int, unused: int, period: int, now: float) -> None:
    """End a share; nothing is returned after its last period, as the burst may be full again.

    Args:
        record: of the client.
        rate: requests a second.
        held: requests that the share had at first.
        unused: requests of them that were not used.
        period: of the record when they were taken.
        now: see `take_request`.
    """
    _fill_burst(record, rate, now)
    if period == record.period:
        record.held = max(0, record.held - held)
    elif period == record.period - 1:
        record.held_before = max(0, record.held_before - held)
    else:
        return
    record.requests = max(0.0, record.requests - unused)


def take_texts(record: Record, quota: int, texts: int, now: float) -> Allowance:
    """Take texts from the quota of the day, in UTC; without texts it is granted if one text is left.

    Args:
        record: of the client; it changes if the texts are granted.
        quota: texts a day.
        texts: how many.
        now: seconds since 1970. A clock that is set back does not begin an earlier day again.
    """
    day = max(record.day, int(now // DAY_SECONDS))
    used = record.texts if record.day == day else 0
    is_granted = used + max(1, texts) <= quota
    if is_granted:
        used += texts
        record.texts, record.day = used, day
    return Allowance(
        name="day",
        unit="texts",
        quota=quota,
        window=DAY_SECONDS,
        left=max(0, quota - used),
        seconds=(day + 1) * DAY_SECONDS - now,
        is_granted=is_granted,
    )


def return_texts(record: Record, quota: int, texts: int, day: int, now: float) -> Allowance:
    """Return texts that were taken on a day and not used; nothing is returned once another day has begun.

    Args:
        record: of the client.
        quota: texts a day.
        texts: how many.
        day: of the record when they were taken.
        now: see `take_texts`.
    """
    if record.day == day:
        record.texts = max(0, record.texts - texts)
    return take_texts(record, quota, 0, now)


def _find_used(record: Record, rate: float, now: float) -> float:
    """Return how much of the burst is used; what is in shares stays so."""
    return max(record.held_before + record.held, record.requests - rate * (now - record.requests_at))


def _fill_burst(record: Record, rate: float, now: float) -> None:
    """Note how much of the burst is used now, and forget the shares whose last period is over."""
    record.requests, record.requests_at = _find_used(record, rate, now), now
    period = int(now // PERIOD_SECONDS)
    if period > record.period:
        record.held_before = record.held if period == record.period + 1 else 0
        record.held, record.period = 0, period


def _describe_rate(used: float, rate: float, burst: int, is_granted: bool) -> Allowance:
    # Fields have whole seconds. In this window a client gets at least the burst.
    window = max(1, math.ceil(burst / rate - _TOLERANCE))
    return Allowance(
        name="rate",
        unit="requests",
        quota=int(rate * window + _TOLERANCE),
        window=window,
        left=max(0, int(burst - used + _TOLERANCE)),
        seconds=used / rate if is_granted else (used + 1 - burst) / rate,
        is_granted=is_granted,
    )


@lru_cache(maxsize=1024)
def _describe_policy(name: str, unit: str, quota: int, window: int) -> str:
    # The draft registers no unit of texts. A client must not take them for requests, which are the default.
    named = "" if unit == "requests" else f';qu="{unit}"'
    return f'"{name}";q={quota}{named};w={window}'

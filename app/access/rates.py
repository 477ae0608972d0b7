"""The two limits of a client, and what is left of them as the `RateLimit` fields have it.

Source of the fields: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/
"""

import math
from typing import NamedTuple

from app.access.usage import Record

DAY_SECONDS = 86_400
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
        # The draft registers no unit of texts. A client must not take them for requests, which are the default.
        unit = "" if self.unit == "requests" else f';qu="{self.unit}"'
        return f'"{self.name}";q={self.quota}{unit};w={self.window}'

    @property
    def service_limit(self) -> str:
        """The item of the field `RateLimit`."""
        return f'"{self.name}";r={self.left};t={math.ceil(self.seconds)}'


def take_request(record: Record, rate: float, burst: int | None, now: float) -> Allowance:
    """Take a request from the burst, which fills up with time.

    Args:
        record: of the client; it changes if the request is granted.
        rate: requests a second.
        burst: requests at once; by default of one second.
        now: on the clock of `time.monotonic`.
    """
    burst = burst or math.ceil(rate)
    used = max(0.0, record.requests - rate * (now - record.requests_at))
    is_granted = used + 1 <= burst + _TOLERANCE
    if is_granted:
        used += 1
        record.requests, record.requests_at = used, now
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

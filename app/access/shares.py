"""Shares of the limits of busy clients, which a process takes in advance: most of their requests need no file then.

A client that sends slowly, or has nearly used its limits, is counted one by one. The shares of a client double as long
as each is used up within `SHARE_SECONDS`: up to `MOST_REQUESTS`, and the texts that as many requests had lately. None
has more than one `PART`th of what is left. What is not used goes back.

No client gets more than its limits allow. It may get less, because other processes hold shares: each of them holds at
most `MOST_REQUESTS` requests and one `PART`th of each limit, for `SHARE_SECONDS` to twice as long. A killed process
loses what it holds: the requests come back with time, the texts on the next day.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access.keys import Client
from app.access.rates import (
    PERIOD_SECONDS,
    Allowance,
    hold_requests,
    return_requests,
    return_texts,
    take_request,
    take_texts,
)
from app.access.usage import Record, Usage

SHARE_SECONDS = 0.1
MOST_REQUESTS = 64
PART = 16

_WEIGHT = 0.25  # of the latest request in the mean of texts


@dataclass(slots=True)
class _Share:
    """What a process may use of the limits of a client without the record.

    Attributes:
        client: whose limits it was taken from.
        size: requests that it was made for, with the one that was counted when it was taken; 1 without a share.
        mean_texts: of the latest requests.
        taken_at: on the clock of `time.monotonic`.
        rate: what the record had left without the share; None without requests of a rate.
        held: requests of the rate at first.
        period: of the record when they were taken.
        ends_at: when they may not be used any more.
        requests: that are left.
        quota: as `rate`.
        day: of the record when texts were taken.
        day_ends_at: seconds since 1970.
        texts: that are left.
    """

    client: Client
    size: int
    mean_texts: float
    taken_at: float
    rate: Allowance | None = None
    held: int = 0
    period: int = 0
    ends_at: float = math.inf
    requests: int = 0
    quota: Allowance | None = None
    day: int = 0
    day_ends_at: float = math.inf
    texts: int = 0

    def take(self, record: Record, rate: Allowance | None, quota: Allowance | None, now: float, wall: float) -> None:
        """Take the share, if so much is left that it has a request and a text."""
        requests = min(self.size - 1, rate.left // PART if rate else MOST_REQUESTS)
        if requests and (quota is None or self.take_texts(record, quota.left, wall)):
            self.requests = requests
            if per_second := self.client.requests_per_second:
                self.rate = hold_requests(record, per_second, self.client.burst, requests, now)
                self.held, self.period = requests, record.period
                self.ends_at = (record.period + 2) * PERIOD_SECONDS

    def take_texts(self, record: Record, left: int, wall: float) -> int:
        """Take texts, if so many are left, and return how many."""
        texts = min(math.ceil(self.mean_texts * self.size), left // PART)
        if texts and (per_day := self.client.texts_per_day):
            self.quota = take_texts(record, per_day, texts, wall)
            self.day, self.day_ends_at, self.texts = record.day, wall + self.quota.seconds, texts
        return texts

    def give_back(self, record: Record, now: float, wall: float) -> None:
        """Return what is left."""
        if self.held and (per_second := self.client.requests_per_second):
            return_requests(record, per_second, self.held, self.requests, self.period, now)
        self.requests = self.held = 0
        self.give_back_texts(record, wall)

    def give_back_texts(self, record: Record, wall: float) -> None:
        """Return the texts that are left."""
        if self.texts and (per_day := self.client.texts_per_day):
            return_texts(record, per_day, self.texts, self.day, wall)
        self.texts = 0


class Shares:
    """Counts what clients use, in the records or in shares of them. Shares are only taken in an event loop."""

    def __init__(
        self, usage: Usage, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """Take the records.

        Args:
            usage: the records.
            clock: returns seconds, the same in all processes.
            wall_clock: returns the seconds since 1970.
        """
        self._usage = usage
        self._clock = clock
        self._wall_clock = wall_clock
        self._shares: dict[str, _Share] = {}  # by the names of clients; the last ones, also if they are used up
        self._timer: asyncio.TimerHandle | None = None  # while shares are held

    def take_request(self, client: Client) -> list[Allowance]:
        """Take one request of a client with limits, if it has a text left; the last allowance may not be granted."""
        share = self._shares.get(client.name)
        if share is None or not share.requests or share.client is not client or self._clock() >= share.ends_at:
            return self._renew(client, share)
        allowances = []
        if quota := share.quota:
            wall = self._wall_clock()
            if not share.texts or wall >= share.day_ends_at:
                return self._renew(client, share)
            allowances.append(quota.add(share.texts, share.day_ends_at - wall))
        share.requests -= 1
        if (rate := share.rate) and (per_second := client.requests_per_second):
            allowances.append(rate.add(share.requests, rate.seconds - share.requests / per_second))
        return allowances

    def take_texts(self, client: Client, quota: int, texts: int) -> tuple[Allowance, int]:
        """Take texts of a client with a quota, and return the day of the record too."""
        share = self._shares.get(client.name)
        if share and share.client is client:
            share.mean_texts += _WEIGHT * (texts - share.mean_texts)
            if share.quota and 0 < texts <= share.texts and (wall := self._wall_clock()) < share.day_ends_at:
                share.texts -= texts
                return share.quota.add(share.texts, share.day_ends_at - wall), share.day
        with self._usage.lock(client.name) as record:
            wall = self._wall_clock()
            if share:
                share.give_back_texts(record, wall)
            allowance = take_texts(record, quota, texts, wall)
            if share and share.client is client and share.requests:
                share.take_texts(record, allowance.left, wall)
            return allowance, record.day

    def return_texts(self, client: Client, quota: int, texts: int, day: int) -> Allowance:
        """Return texts that were taken on a day of the record and not judged."""
        share = self._shares.pop(client.name, None)
        with self._usage.lock(client.name) as record:
            wall = self._wall_clock()
            if share:
                share.give_back(record, self._clock(), wall)
            return return_texts(record, quota, texts, day, wall)

    def close(self) -> None:
        """Return all shares, and close the files."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        for share in [*self._shares.values()]:
            self._end(share)
        self._usage.close()

    def _renew(self, client: Client, old: _Share | None) -> list[Allowance]:
        """Take one request from the record, and a new share if the old one was used up soon; see `take_request`."""
        self._shares.pop(client.name, None)
        allowances = []
        quota = rate = None
        with self._usage.lock(client.name) as record:
            now, wall = self._clock(), self._wall_clock()
            if old:
                old.give_back(record, now, wall)
            if client.texts_per_day:
                quota = take_texts(record, client.texts_per_day, 0, wall)
                allowances.append(quota)
            if client.requests_per_second and (quota is None or quota.is_granted):
                rate = take_request(record, client.requests_per_second, client.burst, now)
                allowances.append(rate)
            if not allowances[-1].is_granted:
                return allowances
            share = self._shares[client.name] = _Share(client, 1, 1.0, now)
            if old and old.client is client and now - old.taken_at < SHARE_SECONDS:
                share.size, share.mean_texts = min(2 * old.size, MOST_REQUESTS), old.mean_texts
                share.take(record, rate, quota, now, wall)
                if share.requests:
                    self._start_timer()
        return allowances

    def _end(self, share: _Share) -> None:
        """Return what is left of a share, and forget it."""
        del self._shares[share.client.name]
        if share.held or share.texts:
            with self._usage.lock(share.client.name) as record:
                share.give_back(record, self._clock(), self._wall_clock())

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SHARE_SECONDS, self._end_old)

    def _end_old(self) -> None:
        """Return what is left of old shares."""
        self._timer = None
        now = self._clock()
        for share in [*self._shares.values()]:
            if now - share.taken_at >= SHARE_SECONDS:
                self._end(share)
        if self._shares:
            self._start_timer()

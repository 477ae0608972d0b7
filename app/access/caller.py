"""The client of one request, and what is left of its limits."""

import time

from app.access.keys import Client, Scope
from app.access.rates import Allowance, return_texts, take_request, take_texts
from app.access.usage import Usage
from app.errors import QuotaExceededError, ScopeMissingError


class Caller:
    """The client of one request."""

    def __init__(self, client: Client, usage: Usage) -> None:
        """Take the client, and the place where its requests are counted."""
        self.client = client
        self._usage = usage
        self._allowances: dict[str, Allowance] = {}  # by the names of their policies
        self._day = 0  # of the record, when the texts of this request were counted

    @property
    def name(self) -> str:
        """The name of the client."""
        return self.client.name

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields that describe the limits; none without limits."""
        if not self._allowances:
            return []
        allowances = self._allowances.values()
        return [
            (b"ratelimit-policy", ", ".join(allowance.policy for allowance in allowances).encode()),
            (b"ratelimit", ", ".join(allowance.service_limit for allowance in allowances).encode()),
        ]

    def require(self, scope: Scope) -> None:
        """Return if the client has a scope.

        Raises:
            ScopeMissingError: it has not.
        """
        if not self.client.may(scope):
            raise ScopeMissingError(
                f"the client {self.name} has no scope {scope}, only {', '.join(self.client.scopes)}; "
                "use a key that has it"
            )

    def count_request(self) -> None:
        """Count this request.

        Raises:
            QuotaExceededError: the client sends too many, or it has no texts left today.
        """
        client = self.client
        if not (client.requests_per_second or client.texts_per_day):
            return
        with self._usage.lock(client.name) as record:
            if client.texts_per_day:
                self._note(take_texts(record, client.texts_per_day, 0, time.time()), texts=1)
            if client.requests_per_second:
                rate = take_request(record, client.requests_per_second, client.burst, time.monotonic())
                self._note(rate)

    def count_texts(self, texts: int) -> None:
        """Count the texts of this request.

        Raises:
            QuotaExceededError: the client has fewer left today.
        """
        if quota := self.client.texts_per_day:
            with self._usage.lock(self.client.name) as record:
                self._note(take_texts(record, quota, texts, time.time()), texts)
                self._day = record.day

    def return_texts(self, texts: int) -> None:
        """Count texts of this request no longer, as they were not judged."""
        if quota := self.client.texts_per_day:
            with self._usage.lock(self.client.name) as record:
                allowance = return_texts(record, quota, texts, self._day, time.time())
                self._allowances[allowance.name] = allowance

    def _note(self, allowance: Allowance, texts: int = 0) -> None:
        """Keep an allowance for the fields, or raise an error if it was not granted."""
        self._allowances[allowance.name] = allowance
        if allowance.is_granted:
            return
        may = f"the client {self.name} may send {allowance.quota} {allowance.unit}"
        if texts:
            why = f"{may} a day (UTC); the request needs {texts}, and {allowance.left} are left"
        else:
            why = f"{may} in {allowance.window} s, and they are used"
        raise QuotaExceededError(why, allowance.name, allowance.seconds)

"""The client of one request, and what is left of its limits."""

from app.access.keys import Client, Scope
from app.access.rates import Allowance
from app.access.shares import Shares
from app.errors import BatchOverQuotaError, QuotaExceededError, ScopeMissingError


class Caller:
    """The client of one request."""

    def __init__(self, client: Client, shares: Shares) -> None:
        """Take the client, and the place where its requests are counted."""
        self.client = client
        self.name = client.name
        self._shares = shares
        self._allowances: dict[str, Allowance] = {}  # by the names of their policies
        self._day = 0  # of the record, when the texts of this request were counted

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields that describe the limits; none without limits."""
        if not self._allowances:
            return []
        allowances = self._allowances.values()
        return [
            (b"ratelimit-policy", ", ".join([allowance.policy for allowance in allowances]).encode()),
            (b"ratelimit", ", ".join([allowance.service_limit for allowance in allowances]).encode()),
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
        if client.requests_per_second or client.texts_per_day:
            for allowance in self._shares.take_request(client):
                self._note(allowance, 1)

    def count_texts(self, texts: int) -> None:
        """Count the texts of this request.

        Raises:
            BatchOverQuotaError: the request has more texts than the quota of a whole day.
            QuotaExceededError: the client has fewer left today.
        """
        if quota := self.client.texts_per_day:
            if texts > quota:
                raise BatchOverQuotaError(
                    f"the client {self.name} may send {quota} texts a day (UTC), and the request has {texts}; send it "
                    "in parts over several days, or ask the operator for a larger quota"
                )
            allowance, self._day = self._shares.take_texts(self.client, quota, texts)
            self._note(allowance, texts)

    def return_texts(self, texts: int) -> None:
        """Count texts of this request no longer, as they were not judged."""
        if quota := self.client.texts_per_day:
            allowance = self._shares.return_texts(self.client, quota, texts, self._day)
            self._allowances[allowance.name] = allowance

    def _note(self, allowance: Allowance, needed: int) -> None:
        """Keep an allowance for the fields, or raise an error if it was not granted."""
        self._allowances[allowance.name] = allowance
        if allowance.is_granted:
            return
        may = f"the client {self.name} may send {allowance.quota} {allowance.unit}"
        if allowance.unit == "texts":
            why = f"{may} a day (UTC); the request needs {needed}, and {allowance.left} are left"
        else:
            why = f"{may} in {allowance.window} s, and they are used"
        raise QuotaExceededError(why, allowance.name, allowance.seconds)

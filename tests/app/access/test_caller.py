"""The client of a request: what is counted, and what its answer says."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.access.caller import Caller
from app.access.keys import Client, Key
from app.access.shares import Shares
from app.access.usage import Usage
from app.errors import BatchOverQuotaError, QuotaExceededError, ScopeMissingError


@pytest.fixture
def shares() -> Iterator[Shares]:
    shares = Shares(Usage(None))
    yield shares
    shares.close()


def make_client(**limits: float) -> Client:
    key = Key(sha256="0" * 64, created=datetime.now(UTC))
    return Client.model_validate({"name": "web", "scopes": ("predict",), "keys": (key,), **limits})


def read_fields(caller: Caller) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in caller.fields}


def test_a_client_without_limits_has_no_fields_and_is_not_counted(shares: Shares) -> None:
    caller = Caller(make_client(), shares)
    for _ in range(1000):
        caller.count_request()
        caller.count_texts(10**9)
    assert not caller.fields and caller.name == "web"


def test_requests_past_the_rate_are_rejected_with_the_time_to_come_again(shares: Shares) -> None:
    client = make_client(requests_per_second=0.01, burst=2)
    for left in (1, 0):
        caller = Caller(client, shares)
        caller.count_request()
        assert read_fields(caller)["ratelimit"].startswith(f'"rate";r={left};t=')
    caller = Caller(client, shares)
    with pytest.raises(
        QuotaExceededError, match="the client web may send 2 requests in 200 s, and they are used; try again in 100 s"
    ) as refusal:
        caller.count_request()
    assert refusal.value.headers == {"retry-after": "100"}
    assert refusal.value.violated_policies == ["rate"]
    assert read_fields(caller) == {"ratelimit-policy": '"rate";q=2;w=200', "ratelimit": '"rate";r=0;t=100'}


def test_a_batch_that_is_larger_than_the_quota_is_rejected_for_good(shares: Shares) -> None:
    caller = Caller(make_client(texts_per_day=10), shares)
    caller.count_request()
    with pytest.raises(
        BatchOverQuotaError, match=r"may send 10 texts a day \(UTC\), and the request has 11; send it in parts"
    ) as refusal:
        caller.count_texts(11)
    assert refusal.value.status == 413 and not refusal.value.headers
    caller.count_texts(10)  # nothing was counted before
    assert read_fields(caller)["ratelimit"].startswith('"day";r=0;t=')


def test_texts_past_the_quota_are_rejected_and_not_counted(shares: Shares) -> None:
    client = make_client(texts_per_day=10)
    caller = Caller(client, shares)
    caller.count_request()
    caller.count_texts(8)
    assert read_fields(caller)["ratelimit"].startswith('"day";r=2;t=')
    with pytest.raises(
        QuotaExceededError, match=r"may send 10 texts a day \(UTC\); the request needs 3, and 2 are left; try again in"
    ) as refusal:
        caller.count_texts(3)
    assert refusal.value.violated_policies == ["day"]
    assert 0 < int(refusal.value.headers["retry-after"]) <= 86_400
    caller.count_texts(2)
    with pytest.raises(QuotaExceededError, match="the request needs 1, and 0 are left"):
        Caller(client, shares).count_request()  # before its body is read


def test_texts_that_were_not_judged_are_returned(shares: Shares) -> None:
    client = make_client(texts_per_day=10)
    caller = Caller(client, shares)
    caller.count_texts(10)
    caller.return_texts(4)
    assert read_fields(caller)["ratelimit"].startswith('"day";r=4;t=')
    Caller(client, shares).count_texts(4)
    with pytest.raises(QuotaExceededError):
        Caller(client, shares).count_request()
    caller.return_texts(0)  # nothing is left, which is no error here
    assert read_fields(caller)["ratelimit"].startswith('"day";r=0;t=')
    unlimited = Caller(make_client(), shares)
    unlimited.return_texts(4)
    assert not unlimited.fields


def test_a_request_without_texts_left_costs_no_request(shares: Shares) -> None:
    client = make_client(texts_per_day=1, requests_per_second=0.01, burst=2)
    caller = Caller(client, shares)
    caller.count_request()
    caller.count_texts(1)
    assert read_fields(caller)["ratelimit-policy"] == '"day";q=1;qu="texts";w=86400, "rate";q=2;w=200'
    refused = Caller(client, shares)
    with pytest.raises(QuotaExceededError):
        refused.count_request()
    assert list(read_fields(refused)) == ["ratelimit-policy", "ratelimit"]
    plenty = Caller(make_client(texts_per_day=2, requests_per_second=0.01, burst=2), shares)
    plenty.count_request()
    assert ', "rate";r=0;t=' in read_fields(plenty)["ratelimit"]


def test_a_missing_scope_is_named(shares: Shares) -> None:
    caller = Caller(make_client(), shares)
    caller.require("predict")
    with pytest.raises(
        ScopeMissingError, match="the client web has no scope manage, only predict; use a key"
    ) as refusal:
        caller.require("manage")
    assert refusal.value.headers["www-authenticate"].endswith('error="insufficient_scope"')


def test_clients_have_limits_of_their_own(shares: Shares) -> None:
    client = make_client(requests_per_second=0.01)
    Caller(client, shares).count_request()
    Caller(client.model_copy(update={"name": "app"}), shares).count_request()

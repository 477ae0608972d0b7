import httpx


def test_every_answer_carries_its_own_request_id(client: httpx.Client) -> None:
    answers = [client.get("/livez"), client.get("/nothing"), client.post("/sentiment", content=b"x" * 30_000)]
    assert [answer.status_code for answer in answers] == [200, 404, 413]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3

"""The sentiment of what is typed, in a real browser."""

import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.labelled import THREE

GOOD, BAD = "A wonderful, tender film.", "An awful, boring film!"


def read_words(page: Page, card: int = 0) -> list[tuple[str, str]]:
    """Return the shaded words of an answer, each with its description."""
    words = page.locator(".answer").nth(card).locator(".words .word")
    return [(word.inner_text(), word.get_attribute("title") or "") for word in words.all()]


def wait_for_words(page: Page, text: str) -> None:
    """Wait until a text is shaded."""
    expect(page.locator(".explanation:not(.stale) .words").first).to_have_text(text)


def show(probability: float) -> str:
    return f"{100 * probability:.1f} %"


@pytest.mark.parametrize("text", [GOOD, BAD])
def test_the_verdict_follows_the_typing(page: Page, service: httpx.Client, text: str) -> None:
    page.fill("#text", "")
    page.locator("#text").press_sequentially(text)
    answer = service.post("/sentiment", json={"text": text}).json()
    expect(page.locator(".facts").first).to_contain_text(f"{answer['words_used']} words read")
    wait_for_words(page, text)
    second = answer["probability_positive"]
    expect(page.locator(".verdict strong")).to_have_text(answer["sentiment"].capitalize())
    expect(page.locator(".verdict .sure")).to_contain_text(show(max(second, 1 - second)))
    expect(page.get_by_role("meter")).to_have_attribute(
        "aria-valuetext", f"{show(second)} positive, {show(1 - second)} negative"
    )
    expect(page.locator(".origin")).to_have_text(f"{answer['model']}, version {answer['version']}")
    expect(page.locator(".facts").first).to_contain_text(re.compile(r"\d ms"))
    expect(page.locator("#spoken")).to_contain_text(answer["sentiment"].capitalize())


def test_an_older_answer_is_dropped(page: Page) -> None:
    wait_for_words(page, page.input_value("#text"))
    held: list[Route] = []
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.failure or ""))
    page.route("**/sentiment", lambda route: held.append(route) if not held else route.continue_())
    with page.expect_request("**/sentiment"):
        page.fill("#text", BAD)
    page.fill("#text", GOOD)
    wait_for_words(page, GOOD)
    assert len(held) == 1 and failed == ["net::ERR_ABORTED"]


def test_every_word_is_shaded_by_its_contribution(page: Page, service: httpx.Client) -> None:
    text = "\U0001f600 A wonderful film, awful qqq!\nBoring."
    page.fill("#text", text)
    wait_for_words(page, text)
    explained = service.post("/sentiment/explain", json={"text": text, "budget": 256}).json()
    expected = []
    for token in explained["tokens"]:
        number = f"{abs(token['contribution']):.2f}"
        sign = "" if number == "0.00" else "+" if token["contribution"] > 0 else "\u2212"
        known = "" if token["is_known"] else ", unknown word"
        expected.append((text[token["start"] : token["end"]], f"{sign}{number}{known}"))
    assert read_words(page) == expected
    assert ", unknown word" in dict(expected)["qqq"]
    expect(page.locator(".legend")).to_contain_text("unknown word")
    page.get_by_text("Every word as a table").click()
    rows = page.locator(".explanation tbody tr")
    expect(rows).to_have_count(len(expected))
    expect(rows.nth(1).locator("th")).to_have_text(expected[1][0])


def test_words_that_are_cut_are_shown_as_not_read(page: Page) -> None:
    text = "awful " * 5 + "film " * 39 + "film"
    page.fill("#text", text)
    wait_for_words(page, text)
    expect(page.locator(".words s")).to_have_text("awful " * 5)
    assert len(read_words(page)) == 40
    expect(page.locator(".facts").first).to_contain_text("5 words cut")


@pytest.mark.parametrize(("text", "why"), [("\u8fd9\u90e8!", "knows none of these words"), (" ", "no words yet")])
def test_a_text_without_a_known_word_has_no_verdict(page: Page, text: str, why: str) -> None:
    page.fill("#text", text)
    expect(page.locator(".verdict strong")).to_have_text("No verdict")
    expect(page.locator(".verdict .sure")).to_contain_text(why)


def test_an_example_is_judged_when_it_is_clicked(page: Page) -> None:
    page.get_by_role("button", name="Complaint").click()
    text = page.input_value("#text")
    assert "never get back" in text
    wait_for_words(page, text)


def test_two_models_or_versions_answer_side_by_side(page: Page, service: httpx.Client) -> None:
    page.fill("#text", GOOD)
    page.select_option("#compare", label="sentiment, version 1")
    expect(page.locator(".origin")).to_have_text(["sentiment, version 2", "sentiment, version 1"])
    page.select_option("#compare", label="imdb-500, version 1")
    expect(page.locator(".explanation:not([hidden]):not(.stale)")).to_have_count(2)
    for place, model in enumerate(("sentiment", "imdb-500")):
        answer = service.post("/sentiment", json={"text": GOOD, "model": model}).json()
        card = page.locator(".answer").nth(place)
        expect(card.locator(".verdict strong")).to_have_text(answer["sentiment"].capitalize())
        expect(card.locator(".facts")).to_contain_text(f"{answer['words_used']} words read")
    page.select_option("#compare", label="nothing")
    expect(page.locator(".origin")).to_have_text(["sentiment, version 2"])


def test_a_model_is_not_compared_with_itself(page: Page) -> None:
    expect(page.locator("#compare option")).to_have_count(page.locator("#model option").count())  # "nothing" is one
    assert page.locator("#compare option[value=sentiment]").count() == 0
    page.select_option("#compare", "imdb-500")
    page.select_option("#model", "imdb-500")
    expect(page.locator("#compare")).to_have_value("")
    expect(page.locator(".answer")).to_have_count(1)
    assert page.locator("#compare option[value=imdb-500]").count() == 0
    assert page.locator("#compare option[value=sentiment]").count() == 1


def test_a_model_of_several_labels_shows_each(page: Page, service: httpx.Client) -> None:
    page.select_option("#model", label="feedback, version 1")
    page.fill("#text", GOOD)
    answer = service.post("/sentiment", json={"text": GOOD, "model": "feedback"}).json()
    expect(page.locator(".measure .row")).to_contain_text(
        [f"{label}{show(share)}" for label, share in answer["probabilities"].items()]
    )
    wait_for_words(page, GOOD)
    expect(page.locator(".legend .for")).to_have_text(f"towards {answer['sentiment']}")
    assert answer["sentiment"] in THREE


def test_without_shading_no_explanation_is_asked_for(page: Page) -> None:
    wait_for_words(page, page.input_value("#text"))
    page.uncheck("#explain")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response("**/sentiment"):
        page.fill("#text", GOOD)
    expect(page.locator(".explanation")).to_be_hidden()
    page.wait_for_timeout(600)
    assert not any(url.endswith("/explain") for url in asked)

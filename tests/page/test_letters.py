"""The next letter, in a real browser."""

import httpx
import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def letters(page: Page) -> Page:
    page.get_by_role("tab", name="Next letter").click()
    expect(page.locator("#bars button").first).to_be_visible()
    return page


def rank(service: httpx.Client, sequence: str, **fields: str) -> list[str]:
    answer = service.post("/next-letter", json={"sequence": sequence, "top_k": 200, **fields}).json()
    return [one["letter"] for one in answer["top"]]


def check_bars(page: Page, ranked: list[str]) -> None:
    expect(page.locator("#bars b")).to_have_text(["\u2423" if letter == " " else letter for letter in ranked[:8]])


def test_the_distribution_is_that_of_the_service(letters: Page, service: httpx.Client) -> None:
    assert letters.input_value("#sequence") == "ABC"
    check_bars(letters, rank(service, "ABC"))
    expect(letters.locator("#keys button")).to_have_count(26)
    expect(letters.locator("#bars li").last).to_contain_text("18 others")


def test_letters_are_pressed_typed_or_taken_from_the_bars(letters: Page, service: httpx.Client) -> None:
    letters.locator("#keys").get_by_role("button", name="X").click()
    check_bars(letters, rank(service, "ABCX"))
    letters.locator("#sequence").press("End")
    letters.locator("#sequence").press_sequentially("yz")
    check_bars(letters, (ranked := rank(service, "ABCXyz")))
    letters.locator("#bars button").first.click()
    expect(letters.locator("#sequence")).to_have_value(f"ABCXyz{ranked[0]}")
    letters.get_by_role("button", name="Undo").click()
    expect(letters.locator("#sequence")).to_have_value("ABCXyz")
    letters.get_by_role("button", name="Clear").click()
    expect(letters.locator("#next-note")).to_have_text("Press a letter, or type one.")
    expect(letters.locator("#bars li")).to_have_count(0)


def test_of_a_long_sequence_the_last_letters_are_read(letters: Page, service: httpx.Client) -> None:
    letters.fill("#sequence", "Z" * 10 + "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    check_bars(letters, rank(service, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    expect(letters.locator("#sequence-note")).to_have_text("The model reads the last 26 of 36.")


def test_what_is_no_letter_is_named(letters: Page) -> None:
    letters.fill("#sequence", "AB1")
    expect(letters.locator("#next-note")).to_contain_text("'1' (U+0031) at position 2")


def test_a_model_of_another_alphabet_shows_its_own(letters: Page, service: httpx.Client) -> None:
    letters.select_option("#letter-model", label="bases, version 1")
    expect(letters.locator("#keys button")).to_have_text(["a", "c", "g", "t", "\u2423"])
    expect(letters.locator("#sequence")).to_have_value("acg")
    letters.locator("#keys").get_by_role("button", name="space").click()
    check_bars(letters, rank(service, "acg ", model="bases"))

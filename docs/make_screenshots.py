"""`python docs/make_screenshots.py`: takes the pictures in docs/page/ of the page in the browser.

It starts a service with the models of this repository, and needs Playwright and Chromium.
"""

import csv
import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "page"
DESKTOP: ViewportSize = {"width": 1040, "height": 700}
PHONE: ViewportSize = {"width": 390, "height": 780}
TEXT = "Not bad at all: the story is thin and the first hour slow, but the ending is wonderful and moved me to tears."


@contextmanager
def serve() -> Iterator[str]:
    """Start the service on a free port, and give its address once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "app", "--port", str(port), "--log-level", "ERROR"]
    service = subprocess.Popen(command, cwd=ROOT)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        service.terminate()
        service.wait()


def open_page(browser: Browser, url: str, scheme: str, size: ViewportSize) -> Page:
    """Open the page in a new window."""
    dark = scheme == "dark"
    page = browser.new_context(viewport=size, color_scheme="dark" if dark else "light").new_page()
    page.goto(url)
    return page


def take(page: Page, name: str) -> None:
    """Take a picture of what is shown."""
    page.wait_for_timeout(600)  # transitions end
    page.screenshot(path=PICTURES / f"{name}.png")


def judge(page: Page) -> None:
    """Type a text, and wait until its words are shaded; a first text warms the service up."""
    for text in (TEXT[:40], TEXT):
        page.fill("#text", text)
        page.wait_for_timeout(1000)
        page.locator(".explanation:not([hidden]):not(.stale)").wait_for()


def make_table() -> bytes:
    """Return a CSV file of the short opinions that no model was trained on."""
    sys.path.insert(0, str(ROOT))
    from training.data.pairs import load

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["review", "label"])
    for group in load("report"):
        for label in ("positive", "negative"):
            if opinion := getattr(group, label):
                writer.writerow([opinion, label])
    return text.getvalue().encode()


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with serve() as url, sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = open_page(browser, url, "light", DESKTOP)
        judge(page)
        take(page, "sentiment")
        page.get_by_role("tab", name="Next letter").click()
        page.locator("#bars button").first.wait_for()
        take(page, "letters")
        page = open_page(browser, url, "dark", DESKTOP)
        page.get_by_role("tab", name="Files").click()
        page.set_input_files("#file", {"name": "opinions.csv", "mimeType": "text/csv", "buffer": make_table()})
        page.get_by_role("button", name="Score").click()
        page.get_by_role("link", name="Download").or_(page.get_by_role("button", name="Download")).wait_for()
        take(page, "files")
        page = open_page(browser, url, "dark", PHONE)
        judge(page)
        take(page, "phone")
        browser.close()


if __name__ == "__main__":
    main()

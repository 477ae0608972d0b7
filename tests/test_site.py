"""The pages: each begins with the question of its reader, and all links work, on GitHub and in the site."""

import json
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
READ = [page for page in PAGES if page.parent == ROOT / "docs"]
GENERATOR = shutil.which("zensical", path=f"{Path(sys.executable).parent}") or shutil.which("zensical")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def find_links(page: Path) -> list[str]:
    """Return what a page links within the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match("[a-z]+:", link)]


@cache
def find_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in find_links(page):
        path, anchor = urldefrag(link)
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        assert not anchor or anchor in find_anchors(target), link


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_a_page_begins_with_the_question_of_its_reader(page: Path) -> None:
    title, opening = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert re.match(r"[A-Z][^.!]*\?(\s|$)", opening), opening


def test_the_site_and_the_readme_lead_to_every_page() -> None:
    configuration = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    in_menu = set(re.findall(r"'([\w-]+\.md)'", str(configuration["project"]["nav"])))
    assert in_menu == {"index.md", *(page.name for page in READ)}
    linked = {Path(link).name for link in find_links(ROOT / "README.md")}
    assert in_menu - {"index.md"} <= linked


def test_the_chart_shows_the_measurements(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "performance", tmp_path / "performance")
    shutil.copyfile(ROOT / "docs" / "make_chart.py", tmp_path / "make_chart.py")
    subprocess.run([sys.executable, tmp_path / "make_chart.py"], check=True)
    drawn = (tmp_path / "performance" / "requests.svg").read_text(encoding="utf-8")
    shown = (ROOT / "docs" / "performance" / "requests.svg").read_text(encoding="utf-8")
    assert drawn == shown, "call `python docs/make_chart.py`"


class Addresses(HTMLParser):
    """What a page of the site loads, what it links, and its anchors."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of an element."""
        found = dict(attrs)
        if anchor := found.get("id"):
            self.anchors.add(anchor)
        if source := found.get("src"):
            self.loaded.append(source)
        if address := found.get("href"):
            (self.linked if tag == "a" else self.loaded).append(address)


@cache
def read_addresses(page: Path) -> Addresses:
    addresses = Addresses()
    addresses.feed(page.read_text(encoding="utf-8"))
    return addresses


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built strictly from the pages."""
    if GENERATOR is None:
        pytest.skip("the generator is not installed; make docs installs it")
    folder = tmp_path_factory.mktemp("site")
    for path in ROOT.iterdir():
        if path.name not in (".git", "build", "zensical.toml"):
            (folder / path.name).symlink_to(path)
    shutil.copyfile(ROOT / "zensical.toml", folder / "zensical.toml")
    subprocess.run([sys.executable, "docs/make_site.py"], cwd=folder, check=True)
    built = subprocess.run([GENERATOR, "build", "--strict"], cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "build" / "docs"


def find_built(site: Path) -> Iterator[tuple[Path, Addresses]]:
    for page in sorted(site.rglob("*.html")):
        if page.name != "404.html":  # its addresses begin at the root of a server
            yield page, read_addresses(page)


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(find_built(site))
    assert len(pages) > len(READ)
    for page, addresses in pages:
        for address in addresses.loaded:
            assert not re.match(r"([a-z]+:)?//", address), (page.name, address)


def test_the_links_of_the_site_work(site: Path) -> None:
    for page, addresses in find_built(site):
        for link in (*addresses.loaded, *addresses.linked):
            path, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (page.name, link)
            if anchor and target.suffix == ".html":
                assert anchor in read_addresses(target).anchors, (page.name, link)


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH")
def test_the_search_works_from_a_file_server_without_a_network(site: Path) -> None:
    requested: list[str] = []
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address, wait_until="networkidle")
        page.get_by_role("button", name="Search").first.click()
        page.keyboard.type("roll back")
        found = page.get_by_role("option").filter(has_text=re.compile("roll back", re.IGNORECASE))
        expect(found.first).to_be_visible(timeout=60_000)
        browser.close()
        server.shutdown()
    assert [url for url in requested if not url.startswith((address, "data:", "blob:", "about:"))] == []


def test_the_notebook_is_in_the_site(site: Path) -> None:
    assert json.loads((site / "client.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4

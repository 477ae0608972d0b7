"""`python -m benchmarks.page`: how large the page in the browser is, and how soon it can be used."""

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from playwright.sync_api import Browser, sync_playwright

from benchmarks import environments, machine, results, targets
from benchmarks.commands import OUT, Out, telling_errors
from benchmarks.results import Panel, format_range, render_table
from benchmarks.servers import HOST, Server, ServerError, find_free_port, serve
from benchmarks.targets import Target

PATHS = {"page": "/", "nothing": "/livez"}  # the second shows what the browser itself takes
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Load:
    """One first visit: milliseconds until the page can be used, and kilobytes that were sent."""

    round: int
    path: str
    milliseconds: float
    kilobytes: float


def main(
    models: Annotated[Path, typer.Option(help="The folder of the bundles.")] = environments.ROOT / "models",
    rounds: Annotated[int, typer.Option(min=1, max=100, help="First visits.")] = 15,
    slower: Annotated[int, typer.Option(min=1, max=20, help="What the processor's speed is divided by.")] = 4,
    out: Out = OUT,
) -> None:
    """Visit the page and a page with nothing alternately, each for the first time, on a slowed processor."""
    with telling_errors():
        constant = machine.describe() | {"plan": {"rounds": rounds, "slower": slower}}
        found = _visit(models, rounds, slower)
    results.save(out / "page.json", constant | {"loads": [asdict(one) for one in found]})
    times, sizes = (
        {name: [getattr(one, field) for one in found if one.path == path] for name, path in PATHS.items()}
        for field in ("milliseconds", "kilobytes")
    )
    rows = [[name, format_range(times[name]), f"{median(sizes[name]):.1f}"] for name in PATHS]
    panel = Panel("until it can be used", "ms", {name: median(values) for name, values in times.items()})
    results.draw_bars(out / "page.png", [("First visit", [panel])], {"page"})
    title = f"First visits, with a processor {slower} times as slow: median (least-most)"
    results.report(out / "page", [title, render_table(["page", "ms until it can be used", "kB"], rows)])
    with telling_errors():
        targets.check(
            [
                Target("ms until the page can be used", median(times["page"]), 1000, 400),
                Target("kB of a first visit", median(sizes["page"]), 150, 60),
            ]
        )


def _visit(models: Path, rounds: int, slower: int) -> list[Load]:
    executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if executable is None:
        raise ServerError("there is no Chromium on the PATH; install it")
    port = find_free_port()
    settings = {"MODELS": str(models.resolve()), "PORT": str(port), "WORKERS": "1", "LOG_LEVEL": "WARNING"}
    environment = {**os.environ, **{f"LSTM_SERVE_{name}": value for name, value in settings.items()}}
    environment["PYTHONPATH"] = str(environments.ROOT)
    found = []
    with serve([sys.executable, "-m", "app"], environment, port, "/readyz") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        server.settle()
        for number in range(1, rounds + 1):
            found += [_load(browser, server, number, path, slower) for path in PATHS.values()]
        browser.close()
    return found


def _load(browser: Browser, server: Server, number: int, path: str, slower: int) -> Load:
    """Visit a page in a new profile; it can be used when its deferred scripts have run."""
    with browser.new_context() as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(f"http://{HOST}:{server.port}{path}", wait_until="networkidle")
        usable = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        sent = page.evaluate(
            "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
            ".reduce((sum, entry) => sum + entry.transferSize, 0)"
        )
    return Load(number, path, round(usable, 1), round(sent / 1000, 1))


if __name__ == "__main__":
    typer.run(main)

"""The programs of docs/client.md and the cells of docs/client.ipynb are run against a real service."""

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import client as module
from app.client import AsyncClient, Client, ExplanationOptions, LetterOptions

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "client.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NOTEBOOK = json.loads((DOCS / "client.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def url(services: Callable[..., httpx.Client]) -> str:
    return str(services().base_url)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_works(url: str, program: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(program.replace("http://localhost:8000", url), "client.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_last_program_prints_the_error_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(PROGRAMS[-1].replace("http://localhost:8000", url), "client.md", "exec"), {})
    (shown,) = re.findall(r"# (422 .*?) \.\.\.", PROGRAMS[-1])
    assert capsys.readouterr().out.startswith(shown)


def run_cells(cells: list[dict[str, Any]]) -> None:
    """Run cells one after the other in one event loop, as Jupyter does: they may await."""
    namespace: dict[str, Any] = {}

    async def run() -> None:
        for number, cell in enumerate(cells):
            code = compile("".join(cell["source"]), f"cell {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if (awaitable := eval(code, namespace)) is not None:
                await awaitable

    asyncio.run(run())


def test_the_notebook_runs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_CLIENT_URL", url)
    has_pandas = find_spec("pandas") is not None
    run_cells([cell for cell in CELLS if has_pandas or "pandas" not in cell["metadata"].get("tags", ())])


def test_the_notebook_is_complete_and_has_no_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    text = "".join("".join(cell["source"]) for cell in CELLS)
    for shown in (
        "sentiments(",
        "iter_sentiments(",
        "score_frame(",
        "explain(",
        "next_letter(",
        "next_letters(",
        "await ",
    ):
        assert shown in text


def test_the_page_has_every_method_argument_and_exception() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"} - {"close"}
    assert methods == {name for name, _ in inspect.getmembers(AsyncClient, inspect.isfunction) if name[0] != "_"} - {
        "close"
    }
    assert methods <= {*re.findall(r"`(\w+)\(", PAGE)}
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|", PAGE, re.MULTILINE))
    arguments = inspect.signature(Client).parameters
    assert arguments.keys() <= rows.keys()
    assert rows["timeout"] == str(round(module.DEFAULT_TIMEOUT)) and rows["url"] == f"`{module.DEFAULT_URL}`"
    assert rows["concurrency"] == str(module.DEFAULT_CONCURRENCY)
    assert f"`{module.URL_VARIABLE}`" in PAGE and f"`{module.KEY_VARIABLE}`" in PAGE
    options = {*ExplanationOptions.__annotations__, *LetterOptions.__annotations__}
    assert {f"`{name}`" for name in options} <= {*re.findall(r"`\w+`", PAGE)}
    errors = {name for name in module.__all__ if name.endswith("Error")} - {"FieldError"}
    assert errors <= rows.keys() | {*re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)}

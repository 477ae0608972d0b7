"""The page about explanations: its request is answered with the fields that it describes."""

import json
import re
import shlex
from pathlib import Path

import httpx

from app.settings import Settings
from app.tasks.explanation import DEFAULT_BUDGET, LEAST_BUDGET, MOST_PLACES
from app.tasks.shapley import EXACT_WORDS, MOST_WORDS

PAGE = (Path(__file__).parent.parent / "docs" / "explanations.md").read_text("utf-8")


def test_the_request_is_answered_with_the_described_fields(exact_client: httpx.Client) -> None:
    found = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found
    command = shlex.split(found[1])
    body = json.loads(command[command.index("-d") + 1])
    explained = exact_client.post("/sentiment/explain", json=body).json()
    described = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))))
    answer = exact_client.post("/sentiment", json=body).json()
    assert described == explained.keys() - answer.keys() | explained["tokens"][0].keys()


def test_the_figures_are_those_of_the_code() -> None:
    for figure in (
        f"Up to {EXACT_WORDS} words",
        f"more than {MOST_WORDS} words",
        f"from {LEAST_BUDGET} to",
        f"{DEFAULT_BUDGET} by default",
        f"At most {MOST_PLACES} texts",
    ):
        assert figure in PAGE.replace("\n", " ")
    assert Settings.model_fields["max_explanation"].default >= DEFAULT_BUDGET

import itertools
import re
import shlex
from pathlib import Path

import pytest
from pydantic import JsonValue

from bundle.readable import ReadableTokeniser
from bundle.store import Store
from tests.bundle.samples import LETTERS, REVIEWS
from tests.conftest import SMALL_RECIPES
from training import recipes
from training.data import pairs
from training.recipes import RECIPES
from training.recipes.settings import flatten
from training.reports import card


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_the_card_holds_every_setting_figure_and_checksum(small_store: Store, name: str) -> None:
    bundle = small_store.open(name)
    manifest = bundle.manifest
    text = (bundle.folder / card.CARD).read_text(encoding="utf-8")
    settings = type(RECIPES[name].settings).model_validate(manifest.recipe["settings"])
    for setting, (value, _) in flatten(settings).items():
        assert f"| `{setting}` | {'-' if value is None else value} |" in text
    for metric, measured in manifest.metrics.items():
        assert f"| {metric} | {measured:.4f} | - |" in text  # the published ones are not of these settings
    for framework, version in manifest.frameworks.items():
        assert f"{framework} {version}" in text
    assert manifest.dataset.sha256 and manifest.dataset.sha256 in text
    assert RECIPES[name].source in text
    assert f"`python -m training train {name} --set " in text
    assert f"python -m training evaluate models/{name}/" in text
    images = re.findall(r"\]\((.*?)\)", text)
    assert sorted(images) == sorted(path.name for path in bundle.folder.glob("*.png"))


def write_card(folder: Path, name: str, assignments: list[str]) -> str:
    """Return the card of a recipe with these settings and made-up figures."""
    description = {"next-letter": LETTERS, "sentiment": REVIEWS}[RECIPES[name].task].model_copy(update={"name": name})
    card.write_card(
        folder, recipes.find(name).with_settings(assignments), description, parameters=1, seconds=1, analysis=""
    )
    return (folder / card.CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_the_command_of_the_card_makes_the_same_recipe(small_store: Store, name: str) -> None:
    bundle = small_store.open(name)
    command = re.search(r"`(python -m training train .*)` makes", (bundle.folder / card.CARD).read_text("utf-8"))
    assert command
    _, _, _, verb, recipe, *options = shlex.split(command[1])
    assert (verb, recipe) == ("train", name)
    assert set(options[::2]) == {"--set"}
    settings = recipes.find(recipe).with_settings(options[1::2]).settings
    assert settings.model_dump(mode="json") == bundle.manifest.recipe["settings"]


@pytest.mark.parametrize(
    ("assignments", "options"),
    [
        ([], ""),
        (["epochs=60"], ""),
        (["seed=3"], " --set seed=3"),
        (
            ["clip_norm=1.5", "patience=2", "patience=null", "mask_padding=false", "schedule=constant"],
            " --set mask_padding=false --set schedule=constant --set clip_norm=1.5",
        ),
    ],
)
def test_the_command_of_the_card_has_the_settings_that_were_changed(
    tmp_path: Path, assignments: list[str], options: str
) -> None:
    card = write_card(tmp_path, "next-letter", assignments)
    assert f"`python -m training train next-letter{options}` makes this bundle" in card


def test_the_command_of_the_card_gives_the_bundle_its_name(tmp_path: Path) -> None:
    description = LETTERS.model_copy(update={"name": "mine"})
    card.write_card(tmp_path, recipes.find("next-letter"), description, parameters=1, seconds=1, analysis="")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert "`python -m training train next-letter --name mine` makes this bundle" in text


@pytest.mark.parametrize(("own", "options"), [(True, ""), (False, " --pairs pairs")])
def test_the_card_of_the_general_recipe_names_all_data_and_their_checksums(
    tmp_path: Path, own: bool, options: str
) -> None:
    hashes: dict[str, JsonValue] = {"phrases": "c" * 64, "pairs": pairs.hash_files() if own else "d" * 64}
    start: dict[str, JsonValue] = {"name": "sentiment", "version": 6, "checksum": "e" * 64}
    description = REVIEWS.model_copy(update={"name": "mine", "recipe": {"learnt_from": hashes, "start": start}})
    card.write_card(tmp_path, recipes.find("sentiment-general"), description, parameters=1, seconds=1)
    text = (tmp_path / card.CARD).read_text("utf-8")
    command = (
        "python -m training train sentiment-general --data aclImdb_v1.tar.gz --phrases trainDevTestTrees_PTB.zip "
        f"--transformer all-MiniLM-L6-v2{options} --name mine --from models/sentiment/6"
    )
    assert f"`{command}` makes this bundle" in text
    data = text.partition("## Data")[2].partition("## Recipe")[0]
    _, treebank, opinions = (line for line in data.splitlines() if "SHA-256" in line)
    assert re.fullmatch(rf"Stanford Sentiment Treebank \(.*\): SHA-256 `{hashes['phrases']}`\.", treebank)
    assert re.fullmatch(rf"Pairs of opinions \(.*\): SHA-256 `{hashes['pairs']}`\.", opinions)


def test_the_card_says_what_is_read_of_a_text_if_that_is_what_a_reader_sees(tmp_path: Path) -> None:
    recipe = recipes.find("sentiment")
    readable = REVIEWS.preprocessing.model_copy(update={"tokeniser": ReadableTokeniser()})
    for description, expected in ((REVIEWS, 0), (REVIEWS.model_copy(update={"preprocessing": readable}), 1)):
        card.write_card(tmp_path, recipe, description, parameters=1, seconds=1)
        card.renew_card(tmp_path, recipe, description, analysis="")
        text = (tmp_path / card.CARD).read_text("utf-8")
        assert text.count("## What it reads") == text.count(card.READABLE) == expected
        assert text.index("## Figures") < text.index("## Use and limits") < text.index("## Data")


@pytest.mark.parametrize(
    ("name", "assignments", "figures"),
    [
        ("alphabet-variable-length", [], ["| accuracy | 0.7500 | 0.9890 |", "| loss | 1.5000 | - |"]),
        ("alphabet-variable-length", ["seed=8"], ["| accuracy | 0.7500 | 0.9890 |", "| loss | 1.5000 | - |"]),
        ("alphabet-variable-length", ["epochs=499"], ["| accuracy | 0.7500 | - |", "| loss | 1.5000 | - |"]),
        ("alphabet-variable-length", ["seed=8", "units=31"], ["| accuracy | 0.7500 | - |"]),
        ("imdb-500", ["epochs=10"], ["| accuracy | 0.5000 | 0.8674 |", "| loss | 0.7000 | 0.3975 |"]),
        ("imdb-500", ["length=400"], ["| accuracy | 0.5000 | - |", "| loss | 0.7000 | - |", "| auc | 0.5000 | - |"]),
        ("sentiment", [], ["| accuracy | 0.5000 | - |"]),
    ],
)
def test_published_figures_are_shown_for_the_settings_they_belong_to(
    tmp_path: Path, name: str, assignments: list[str], figures: list[str]
) -> None:
    lines = write_card(tmp_path, name, assignments).splitlines()
    assert not set(figures) - set(lines)


@pytest.mark.parametrize("name", SMALL_RECIPES)
def test_the_tables_of_the_card_are_tables(small_store: Store, name: str) -> None:
    text = (small_store.open(name).folder / card.CARD).read_text(encoding="utf-8")
    parts = itertools.groupby(text.splitlines(), key=lambda line: line.startswith("|"))
    tables = [list(rows) for is_table, rows in parts if is_table]
    assert sum(map(len, tables)) > 10
    assert all(len({row.count("|") for row in rows}) == 1 for rows in tables)
    onnx = small_store.open(name).manifest.onnx
    assert onnx
    # The tables of stages and of one form of ONNX have a column more than others, that of two forms has four
    # more. The table of labels has two more than others.
    labels = {6} if RECIPES[name].task == "sentiment" else set()
    expected = {4, 5} | {8 for form in onnx.forms.values() if form.held_out} | labels
    assert {rows[0].count("|") for rows in tables} == expected


@pytest.mark.parametrize(("seconds", "duration"), [(0.4, "0 s"), (119, "119 s"), (120, "2.0 min"), (5400, "90.0 min")])
def test_the_card_says_how_long_the_training_took(tmp_path: Path, seconds: float, duration: str) -> None:
    card.write_card(tmp_path, recipes.find("next-letter"), LETTERS, parameters=1234567, seconds=seconds, analysis="")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert f"1,234,567 parameters, trained in {duration}." in text


def test_the_card_says_what_the_figures_were_measured_on_and_what_the_model_is_for(tmp_path: Path) -> None:
    cards = []
    for name, description in (("next-letter", LETTERS), ("sentiment", REVIEWS)):
        card.write_card(tmp_path, recipes.find(name), description, parameters=1, seconds=1, analysis="")
        cards.append(" ".join((tmp_path / card.CARD).read_text(encoding="utf-8").split()))
    assert "On 26 examples (the patterns it was trained on)" in cards[0]
    assert "accepts 1 to 5 letters" in cards[0]
    assert "On 24 examples (the test reviews, which are never trained on)" in cards[1]
    assert "the last 6 words and marks" in cards[1]

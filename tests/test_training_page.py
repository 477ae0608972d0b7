"""Every command of the pages of training, accuracy and architecture, and of PyTorch on that of own models, is run."""

import re
import shutil
import subprocess
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import SMALL_RECIPES
from tests.training.general.conftest import SMALL_GENERAL, add_story, write_transformer, write_treebank
from training.recipes import RECIPES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGE, ACCURACY, ARCHITECTURE, OWN_MODEL = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("training", "accuracy", "architecture", "own-model")
)
(CONVERSION,) = re.findall(r"^## To PyTorch and back$(.*?)(?=^## )", OWN_MODEL, re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE + ACCURACY + ARCHITECTURE + CONVERSION, re.DOTALL)
TYPED = [line for block in BLOCKS for line in block.splitlines()]

NO_PAIRS = ("teaching.pair_copies=0", "learning.pair_copies=0")  # they are thousands

# What a test adds to a command, so that it is over soon.
SHORTER = {
    "train next-letter": " --set epochs=1",
    "train sentiment-night": "".join(f" --set {assignment}" for assignment in SMALL_RECIPES["sentiment"]),
    "train sentiment-general": "".join(f" --set {assignment}" for assignment in (*SMALL_GENERAL, *NO_PAIRS)),
}
NOT_RUN_AGAIN = {"make test"}  # it is what runs this


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    """A checkout to write in: the code linked, the models copied, and a small archive of reviews."""
    folder = tmp_path_factory.mktemp("checkout")
    write_treebank(folder / "trainDevTestTrees_PTB.zip")
    write_transformer(folder / "all-MiniLM-L6-v2")
    for name in (".venv", "Makefile", "requirements", "app", "bundle", "tables", "training", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "models", folder / "models")
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
        archive.add(add_story(reviews, folder / "reviews"), "aclImdb")
    return folder


def test_the_pages_have_the_commands_of_a_developer() -> None:
    assert {"make training", "make torch", "make test"} <= set(TYPED)
    commands = {line.partition("-m training ")[2].split(" ")[0] for line in TYPED if "-m training " in line}
    assert commands == {"list", "train", "evaluate", "wild", "convert"}


@pytest.mark.parametrize("command", [line for line in TYPED if line not in NOT_RUN_AGAIN])
def test_a_command_works(checkout: Path, command: str) -> None:
    if "torch" in command and not find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    for part, more in SHORTER.items():
        if part in command:
            command += more
    result = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_named_settings_exist() -> None:
    (listed,) = re.findall(r"^## Settings of the other recipes\n\n(.*?)`training/recipes/`", PAGE, re.M | re.DOTALL)
    fields = {field for recipe in RECIPES.values() for field in type(recipe.settings).model_fields}
    named = set(re.findall(r"`(\w+)`", listed))
    assert len(named) > 30 and named <= fields

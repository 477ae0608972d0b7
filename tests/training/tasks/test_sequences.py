from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bundle.reference import Reference
from bundle.store import Bundle, Store
from bundle.symbols import SymbolCodec
from tests.bundle.samples import LETTERS, publish
from training import pipeline, recipes
from training.bundle_data import read_data
from training.data.labelled.reading import DataOptions
from training.data.sources import Sources
from training.errors import ConversionError, DataError, RecipeError
from training.evaluation.character_ngrams import Baseline
from training.evaluation.evaluate import evaluate
from training.recipes.recipe import Recipe
from training.tasks import TRAINED, sequences
from training.tasks.sequences import SequenceData

QUIET = Console(quiet=True)
SMALL = ["units=4", "embedding=3", "length=8", "epochs=1", "batch_size=16"]
LINES = [f"{number:06b}" for number in range(64)]


def find_recipe(*assignments: str) -> Recipe:
    return recipes.find("letters").with_settings([*SMALL, *assignments])


def write(folder: Path, lines: list[str], name: str = "lines.txt") -> Path:
    path = folder / name
    path.write_text("\n".join(lines), "utf-8")
    return path


def attempt(sources: Sources, *assignments: str, console: Console = QUIET, start: Bundle | None = None) -> None:
    """Begin a training that ends with an error."""
    TRAINED["next-letter"].train(find_recipe(*assignments), sources, console, start, Path("none"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of two characters, from lines of which one is bad."""
    folder = tmp_path_factory.mktemp("trained")
    data = write(folder, [*LINES, "01x"])
    sources = Sources(data, options=DataOptions(skip_bad_rows=True))
    recipe = find_recipe('alphabet="01"')
    return pipeline.train(recipe, "bits", Store(folder / "models"), sources, QUIET)


def test_a_bundle_of_two_characters_has_one_output(trained: Bundle) -> None:
    manifest = trained.manifest
    assert (manifest.labels, manifest.outputs) == (("0", "1"), 1)
    assert manifest.onnx and manifest.onnx.forms["float32"].difference < 1e-5
    assert manifest.metrics["bits"] == pytest.approx(manifest.metrics["loss"] / np.log(2))
    assert "top_3_accuracy" not in manifest.metrics
    assert manifest.dataset.training_examples % 5 == manifest.dataset.test_examples % 5 == 0
    assert trained.reference
    assert sum(trained.reference.counts["length"]) == manifest.dataset.test_examples


def test_its_card_has_file_split_and_baselines(trained: Bundle) -> None:
    card = (trained.folder / "README.md").read_text("utf-8")
    sha256 = trained.manifest.dataset.sha256
    for shown in (
        f"| `lines.txt` | `{sha256}` |",
        "64 lines with 384 characters; 1 bad lines left out |",
        "Alphabet, 2 characters as JSON",
        "| this network | ",
        "| n-gram with back-off, ",
        "| most frequent character | ",
        "train letters --data FILE --alphabet 01 --set ",
        " --name bits",
        "models/bits/<version> --data FILE`",
        "It accepts 1 to 8 characters",
    ):
        assert shown in card


def test_the_held_out_lines_are_found_again(trained: Bundle) -> None:
    source = trained.folder.parents[2] / "lines.txt"
    evaluation, sha256 = pipeline.evaluate_bundle(trained, source, QUIET)
    assert sha256 == trained.manifest.dataset.sha256
    assert evaluation.metrics == pytest.approx(trained.manifest.metrics)
    data = read_data(trained, source, QUIET).data
    assert isinstance(data, SequenceData) and len(data.baselines) == 2
    with pytest.raises(DataError, match="name the file that the bundle was trained on: --data"):
        read_data(trained, None, QUIET)


def test_a_training_starts_only_from_the_same_alphabet(trained: Bundle, tmp_path: Path) -> None:
    sources = Sources(write(tmp_path, [line.replace("0", "2") for line in LINES]))
    with pytest.raises(
        RecipeError, match="reads other characters than '12'; start from a bundle of the recipe letters"
    ):
        attempt(sources, start=trained)
    with pytest.raises(RecipeError, match="reads other characters than '12'"):
        attempt(sources, start=publish(Store(tmp_path), LETTERS))


def test_a_training_starts_from_a_bundle(trained: Bundle) -> None:
    source = trained.folder.parents[2] / "lines.txt"
    store = Store(trained.folder.parents[1])
    recipe = find_recipe('alphabet="01"', "learning_rate=1e-9")
    sources = Sources(source, options=DataOptions(skip_bad_rows=True))
    again = pipeline.train(recipe, "again", store, sources, QUIET, trained)
    assert again.manifest.metrics == pytest.approx(trained.manifest.metrics, abs=1e-4)
    assert isinstance(again.manifest.recipe["start"], dict)


@pytest.mark.parametrize(
    ("lines", "assignments", "message"),
    [
        (["01", "10"], [], "lines.txt has 2 lines, and none is left for .*; lines are split by their contents"),
        (LINES, ["alphabet=abc"], "lines.txt, line 1: '0' .* is not in the alphabet 'abc'"),
        (LINES, ["alphabet=a"], "2 to 200 characters, this one has 1; correct --alphabet"),
    ],
)
def test_data_that_cannot_be_learnt_are_refused(
    tmp_path: Path, lines: list[str], assignments: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        attempt(Sources(write(tmp_path, lines)), *assignments)


def test_the_recipe_needs_a_file() -> None:
    with pytest.raises(DataError, match="letters learns from your own sequences; .*--data FILE"):
        attempt(Sources())


def test_test_lines_come_from_one_place(tmp_path: Path) -> None:
    path = write(tmp_path, LINES)
    for sources, share in ((Sources(path), "0"), (Sources(path, options=DataOptions(test=path)), "0.1")):
        with pytest.raises(RecipeError, match="test_share is 0 if the test lines are in a file of their own"):
            attempt(sources, f"test_share={share}")


def test_lines_of_the_test_file_are_not_trained_on(tmp_path: Path) -> None:
    console = Console(record=True, width=400)
    path = write(tmp_path, LINES)
    with pytest.raises(DataError, match="none is left for training"):
        attempt(
            Sources(path, options=DataOptions(test=write(tmp_path, LINES, "test.txt"))), "test_share=0", console=console
        )
    assert "64 lines are also in test.txt; they are not trained on" in console.export_text()


def test_rare_characters_are_told(tmp_path: Path) -> None:
    console = Console(record=True, width=400)
    with pytest.raises(DataError):
        attempt(Sources(write(tmp_path, ["01" * 10_000, "1é"])), console=console)
    printed = console.export_text()
    assert "lines.txt: 3 characters found: '01é'" in printed
    assert "rare characters, each under 0.01% of the text: 'é' (U+00E9) 1 times" in printed


def test_weights_of_other_frameworks_have_no_data() -> None:
    settings = find_recipe().settings
    with pytest.raises(ConversionError, match="letters has no fixed alphabet or data; train it with --data"):
        TRAINED["next-letter"].convert({}, settings, None, None, QUIET)


@pytest.mark.parametrize(("bits", "verdict"), [(3.0, "needs 1.000 bits a character fewer than the n-gram"), (1.5, "")])
def test_the_card_says_which_is_better(tmp_path: Path, bits: float, verdict: str) -> None:
    codec = SymbolCodec(alphabet="abcd", length=4)
    evaluation = evaluate(np.full((8, 4), 0.25, np.float32), np.arange(8, dtype=np.int32) % 4)
    data = SequenceData(np.arange(1, 9), 100, (Baseline("n-gram", 0.5, 0.75, bits),))
    text = sequences.analyse(codec, data, evaluation, tmp_path)
    assert (verdict or "**The n-gram is better**: it needs 0.500 bits a character fewer than this network") in text
    assert "| this network | 25.00% | 75.00% | 2.000 |" in text
    assert Reference.read(tmp_path).counts["length"][:4] == (1, 1, 2, 4)
    assert sequences.analyse(codec, SequenceData(data.lengths, 100, ()), evaluation, tmp_path).endswith("before it.")
    assert sequences.measure(codec, evaluation)["top_3_accuracy"] == 0.75

"""From a recipe to a published bundle: training, evaluation, card, publication."""

import importlib
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import sklearn
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.manifest import LABELS, Description
from bundle.reviews import ReviewCodec
from bundle.store import MODEL_FILE, Bundle, Store, write_vocabulary
from training import alphabet, analysis, card, coding
from training.corpus import Corpus
from training.errors import RecipeError
from training.evaluate import Evaluation, evaluate
from training.files import compress
from training.recipes import Recipe
from training.results import HELD_OUT, Run
from training.review_batches import predict
from training.settings import RUNS, LetterSettings, ReviewSettings, StagedSettings
from training.stages import Stages
from training.trained import Trained, fit_recipe


def train(
    recipe: Recipe,
    name: str,
    store: Store,
    source: Path | None,
    console: Console,
    start: Bundle | None = None,
    runs: Path = RUNS,
) -> Bundle:
    """Train a recipe and publish it under a name; until the last moment nothing is written that a reader could see.

    What the stages of a recipe leave is in the folder `runs`, and is not trained again.

    Raises:
        DivergedError: the network learnt no numbers.
        DataError, RecipeError: see `trained.fit_recipe`.
        OSError: the store cannot be written, which shows before the training.
    """
    with store.stage(name) as folder:
        started = time.monotonic()
        trained = fit_recipe(recipe, source, console, start, runs)
        seconds = trained.seconds or time.monotonic() - started
        origin = {"start": start.manifest.model_dump(include={"name", "version", "checksum"})} if start else {}
        return publish(trained, recipe, name, store, folder, seconds, origin)


def run_stages(recipe: Recipe, names: list[str], source: Path | None, console: Console, runs: Path) -> None:
    """Run some stages of a recipe, named as in `STAGES`, and what they need.

    Raises:
        DataError: see `imdb.load`.
    """
    assert isinstance(recipe.settings, StagedSettings)
    stages = Stages(recipe.settings, runs, source, console)
    for name in names:
        getattr(stages, name)()


def publish(
    trained: Trained,
    recipe: Recipe,
    name: str,
    store: Store,
    folder: Path,
    seconds: float,
    origin: Mapping[str, JsonValue],
) -> Bundle:
    """Evaluate a network that took so long to train, and publish it from a staged folder.

    `origin` is what the manifest says of the weights it did not begin with at random.

    Raises:
        DivergedError: it answers with no numbers.
    """
    trained.network.save(folder / MODEL_FILE)
    compress(folder / MODEL_FILE)
    evaluation = evaluate(keras.saving.load_model(folder / MODEL_FILE), trained.test)
    description = _describe(recipe, name, trained, _measure(trained, evaluation), origin)
    if isinstance(trained.codec, ReviewCodec):
        write_vocabulary(folder / trained.codec.preprocessing.vocabulary_file, trained.codec.vocabulary)
        card.plot_confusion_matrix(evaluation, description.labels, folder / card.CONFUSION_MATRIX)
        card.plot_roc_curve(evaluation, folder / card.ROC_CURVE)
    if trained.history:
        card.plot_learning_curve(trained.history, folder / card.LEARNING_CURVE, trained.reports_per_epoch)
    analysis = _analyse(trained, evaluation, recipe)
    card.write_card(folder, recipe, description, trained.network.count_params(), seconds, trained.stages, analysis)
    return store.publish(folder, description)


def _analyse(trained: Trained, evaluation: Evaluation, recipe: Recipe) -> str:
    """Return what a card tells of a review network's answers: see `analysis.describe`."""
    codec = trained.codec
    if not isinstance(codec, ReviewCodec):
        return ""
    assert trained.data is not None
    network = trained.of_any_length or trained.network

    def answer(texts: Sequence[str]) -> NDArray[np.float32]:
        corpus = Corpus.of(codec.encode(text).ids for text in texts)
        return predict(network, corpus, np.arange(len(texts)), codec.preprocessing)

    return analysis.describe(trained.data, evaluation, answer, recipe.settings.seed)


def record(recipe: Recipe, source: Path | None, console: Console) -> Run:
    """Train a recipe for the report, without a bundle.

    Raises:
        DivergedError: it learnt no numbers.
        DataError: see `imdb.load`.
    """
    keras.backend.clear_session()  # the runs before
    with _without_progress():
        started = time.monotonic()
        trained = fit_recipe(recipe, source, console)
        seconds = time.monotonic() - started
    return Run.record(
        recipe,
        _measure(trained, evaluate(trained.network, trained.test)),
        trained.history,
        trained.dataset.sha256,
        trained.network.count_params(),
        seconds,
        _list_frameworks(with_torch=_is_of_torch(recipe)),
    )


@contextmanager
def _without_progress() -> Iterator[None]:
    keras.utils.disable_interactive_logging()
    try:
        yield
    finally:
        keras.utils.enable_interactive_logging()


def _measure(trained: Trained, evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics of an evaluation, and where training examples were held out, the accuracy on these."""
    if trained.held_out is None:
        return evaluation.metrics
    return evaluation.metrics | {HELD_OUT: evaluate(trained.network, trained.held_out).metrics["accuracy"]}


def evaluate_bundle(bundle: Bundle, source: Path | None, console: Console) -> tuple[Evaluation, str]:
    """Evaluate a bundle on the data of its recipe; also return that data's SHA-256.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the recipe is not one of this release.
    """
    codec = bundle.codec
    if isinstance(codec, LetterCodec):
        settings = read_settings(bundle)
        assert isinstance(settings, LetterSettings)
        examples, dataset = coding.describe_patterns(codec, settings, alphabet.make_patterns(settings), 0)
    else:
        examples, dataset = coding.describe_reviews(codec, coding.load_reviews(source, console), 0, console)
    return evaluate(keras.saving.load_model(bundle.model_path), examples), dataset.sha256


def read_settings(bundle: Bundle) -> LetterSettings | ReviewSettings:
    """Return the settings of a bundle's network; those of its training that this release has not are left out.

    Raises:
        RecipeError: they are not those of this release.
    """
    recorded = bundle.manifest.recipe.get("settings")
    fields = recorded if isinstance(recorded, dict) else {}
    try:
        if "student" in fields:
            return StagedSettings.model_validate(fields).published
        kind = LetterSettings if isinstance(bundle.codec, LetterCodec) else ReviewSettings
        return kind.model_validate({name: value for name, value in fields.items() if name in kind.model_fields})
    except ValidationError as error:
        raise RecipeError(
            f"{bundle.folder} has a recipe of another release ({error.error_count()} fields do not fit); "
            "use the release that trained it"
        ) from error


def _describe(
    recipe: Recipe, name: str, trained: Trained, metrics: dict[str, float], origin: Mapping[str, JsonValue]
) -> Description:
    codec = trained.codec
    return Description(
        name=name,
        task=recipe.task,
        recipe={"name": recipe.name, "settings": recipe.settings.model_dump(mode="json"), **origin},
        preprocessing=codec if isinstance(codec, LetterCodec) else codec.preprocessing,
        labels=LABELS[recipe.task],
        metrics=metrics,
        dataset=trained.dataset,
        frameworks=_list_frameworks(with_torch=_is_of_torch(recipe) or "converted" in origin),
    )


def _is_of_torch(recipe: Recipe) -> bool:
    return isinstance(recipe.settings, LetterSettings) and recipe.settings.framework == "torch"


def _list_frameworks(with_torch: bool) -> dict[str, str]:
    backend = keras.backend.backend()
    frameworks = {
        "python": platform.python_version(),
        backend: importlib.import_module(backend).__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
    if with_torch:
        frameworks["torch"] = importlib.import_module("torch").__version__
    return frameworks

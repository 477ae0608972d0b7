"""From a recipe to a published bundle: data, fit, evaluation, card, publication."""

import importlib
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import sklearn
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.manifest import LABELS, Dataset, Description
from bundle.reviews import ReviewCodec
from bundle.store import MODEL_FILE, Bundle, Store, write_vocabulary
from training import alphabet, analysis, card, coding, conversion, imdb, networks
from training.corpus import Corpus
from training.errors import ConversionError, MissingPackageError, RecipeError
from training.evaluate import Evaluation, evaluate
from training.fit import Examples, History, fit, split_randomly
from training.recipes import Recipe
from training.results import HELD_OUT, Run
from training.review_batches import predict
from training.settings import RUNS, LetterSettings, ReviewSettings, StagedSettings
from training.stages import Stages

AGREEMENT = 1e-5  # between the answers of two frameworks


@dataclass(frozen=True)
class Trained:
    """A network in memory with all that its bundle will say of it.

    `reviews` are those that a review network is tested on; `of_any_length` is the same network, if it can read less
    than its whole length; `seconds` are those of stages, which may have been run long before; the history has
    `reports_per_epoch`.
    """

    network: keras.Model
    codec: LetterCodec | ReviewCodec
    history: History
    test: Examples
    dataset: Dataset
    held_out: Examples | None = None  # of the training data
    reviews: tuple[imdb.Review, ...] = ()
    of_any_length: keras.Model | None = None
    seconds: float | None = None
    reports_per_epoch: int = 1


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
        DataError, RecipeError: see `fit_recipe`.
        OSError: the store cannot be written, which shows before the training.
    """
    with store.stage(name) as folder:
        started = time.monotonic()
        trained = fit_recipe(recipe, source, console, start, runs)
        seconds = trained.seconds or time.monotonic() - started
        origin = {"start": start.manifest.model_dump(include={"name", "version", "checksum"})} if start else {}
        return publish(trained, recipe, name, store, folder, seconds, origin)


def fit_recipe(
    recipe: Recipe, source: Path | None, console: Console, start: Bundle | None = None, runs: Path = RUNS
) -> Trained:
    """Train the network of a recipe, from random weights or from those of a bundle.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the weights of the bundle are not those of such a network, or all examples are held out.
    """
    keras.utils.set_random_seed(recipe.settings.seed)
    if isinstance(recipe.settings, LetterSettings):
        return _train_letters(recipe.settings, start)
    if isinstance(recipe.settings, StagedSettings):
        if start:
            raise RecipeError(f"{recipe.name} begins with its own language model; leave --from out")
        return _train_in_stages(recipe.settings, source, console, runs)
    return _train_reviews(recipe.settings, source, console, start)


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
    evaluation = evaluate(keras.saving.load_model(folder / MODEL_FILE), trained.test)
    description = _describe(recipe, name, trained, _measure(trained, evaluation), origin)
    if isinstance(trained.codec, ReviewCodec):
        write_vocabulary(folder / trained.codec.preprocessing.vocabulary_file, trained.codec.vocabulary)
        card.plot_confusion_matrix(evaluation, description.labels, folder / card.CONFUSION_MATRIX)
        card.plot_roc_curve(evaluation, folder / card.ROC_CURVE)
    if trained.history:
        card.plot_learning_curve(trained.history, folder / card.LEARNING_CURVE, trained.reports_per_epoch)
    card.write_card(
        folder, recipe, description, trained.network.count_params(), seconds, _analyse(trained, evaluation, recipe)
    )
    return store.publish(folder, description)


def _analyse(trained: Trained, evaluation: Evaluation, recipe: Recipe) -> str:
    """Return what a card tells of a review network's answers: see `analysis.describe`."""
    codec = trained.codec
    if not isinstance(codec, ReviewCodec):
        return ""
    network = trained.of_any_length or trained.network

    def answer(texts: Sequence[str]) -> NDArray[np.float32]:
        corpus = Corpus.of(codec.encode(text).ids for text in texts)
        return predict(network, corpus, np.arange(len(texts)), codec.preprocessing)

    return analysis.describe(trained.reviews, evaluation, answer, recipe.settings.seed)


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
            staged = StagedSettings.model_validate(fields)
            return staged.network(staged.student)
        kind = LetterSettings if isinstance(bundle.codec, LetterCodec) else ReviewSettings
        return kind.model_validate({name: value for name, value in fields.items() if name in kind.model_fields})
    except ValidationError as error:
        raise RecipeError(
            f"{bundle.folder} has a recipe of another release ({error.error_count()} fields do not fit); "
            "use the release that trained it"
        ) from error


def _train_letters(settings: LetterSettings, start: Bundle | None) -> Trained:
    patterns = alphabet.make_patterns(settings)
    codec = coding.make_letter_codec(settings)
    network = networks.build_letter_network(settings, codec)
    if start:
        if isinstance(start.codec, LetterCodec) and start.codec.model_copy(update={"length": codec.length}) != codec:
            raise RecipeError(
                f"{start.folder} codes letters otherwise than this recipe does ({start.codec!r}, not {codec!r}); set "
                "first_code, layout and mask_padding as the bundle's card has them"
            )
        _take_weights(network, start)
    kept, held_out = (
        [patterns[k] for k in np.sort(indices)]
        for indices in split_randomly(len(patterns), settings.validation_share, settings.seed)
    )
    training = alphabet.copy_short_runs(kept, settings.short_run_copies)
    validation = coding.code_patterns(codec, held_out) if held_out else None
    if settings.stateful:
        history = _fit_letter_by_letter(network, settings, codec, training)
    elif settings.framework == "torch":
        history = _fit_with_torch(network, settings, coding.code_patterns(codec, training), begun=start is not None)
    else:
        history = fit(network, settings, coding.code_patterns(codec, training), validation)
    return Trained(
        network, codec, history, *coding.describe_patterns(codec, settings, patterns, len(training)), validation
    )


def _fit_letter_by_letter(
    network: keras.Model, settings: LetterSettings, codec: LetterCodec, prefixes: list[alphabet.Pattern]
) -> History:
    """Train the network with a state that is carried from every letter to the next.

    What has learnt so is served as any other network: from a state of zeros, over all letters of a sequence.
    """
    carrying = networks.build_stateful_letter_network(settings, codec)
    carrying.set_weights(network.get_weights())
    letters = np.stack([codec.encode(prefix.sequence[-1]) for prefix in prefixes])[:, :, np.newaxis]
    history = fit(carrying, settings, Examples(letters, coding.code_patterns(codec, prefixes).labels))
    network.set_weights(carrying.get_weights())
    return history


def _fit_with_torch(network: keras.Model, settings: LetterSettings, training: Examples, begun: bool) -> History:
    """Train a PyTorch network of the same layers, and give the network its weights.

    It begins with random weights of its own, or if the network has `begun`, with those of the network.

    Raises:
        MissingPackageError: PyTorch is not installed.
        ConversionError: the two do not answer the same.
    """
    torch_network = import_torch_network()
    history: History
    trained, history = torch_network.train(settings, training, conversion.to_torch(network) if begun else None)
    conversion.to_keras(torch_network.get_state(trained), network)
    differences = abs(network.predict(training.inputs, verbose=0) - torch_network.predict(trained, training.inputs))
    if differences.max() > AGREEMENT:
        raise ConversionError(f"the PyTorch network and its Keras copy differ by {differences.max():.1e} in an answer")
    return history


def import_torch_network() -> ModuleType:
    """Return `training.torch_network`.

    Raises:
        MissingPackageError: PyTorch is not installed.
    """
    try:
        return importlib.import_module("training.torch_network")
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{error.name} is not installed, which this needs; run `make torch`") from error


def _train_reviews(settings: ReviewSettings, source: Path | None, console: Console, start: Bundle | None) -> Trained:
    data = coding.load_reviews(source, console)
    texts = [review.text for review in data.train]
    codec = _take_codec(settings, start) if start else coding.learn_review_codec(settings, texts, console)
    labelled = coding.code_reviews(codec, data.train, "Coding the training reviews", console)
    kept, held_out = imdb.hold_out(data.train, settings.validation_share, settings.validation, settings.seed)
    training = labelled.take(kept)
    network = networks.build_review_network(settings, codec.preprocessing)
    if start:
        _take_weights(network, start)
    validation = labelled.take(held_out) if len(held_out) else None
    history = fit(network, settings, training, validation)
    tested = coding.describe_reviews(codec, data, len(training.labels), console)
    return Trained(network, codec, history, *tested, validation, data.test)


def _train_in_stages(settings: StagedSettings, source: Path | None, console: Console, runs: Path) -> Trained:
    stages = Stages(settings, runs, source, console)
    network, reviews, history = stages.publish(), stages.reviews(), stages.history()
    constants = reviews.codec.preprocessing
    validation = Examples(
        reviews.corpus.pad(reviews.held_out, constants.length, constants.padding_id),
        reviews.labels[reviews.held_out].astype(np.int32),
    )
    trained_on = len(reviews.corpus) - len(reviews.held_out)
    tested = coding.describe_reviews(reviews.codec, stages.data, trained_on, console)
    return Trained(
        network,
        reviews.codec,
        history,
        *tested,
        validation,
        stages.data.test,
        stages.publish(any_length=True),
        stages.count_seconds(),
        len(history["loss"]) // settings.student.epochs,
    )


def _take_weights(network: keras.Model, start: Bundle) -> None:
    """Give a network the weights of a bundle's.

    Raises:
        RecipeError: they have other shapes.
    """
    weights = keras.saving.load_model(start.model_path).get_weights()
    found, expected = ([weight.shape for weight in those] for those in (weights, network.get_weights()))
    if found != expected:
        raise RecipeError(
            f"the weights in {start.folder} have the shapes {found}, those of this recipe {expected}; "
            "set the recipe's fields as the bundle's card has them"
        )
    network.set_weights(weights)


def _take_codec(settings: ReviewSettings, start: Bundle) -> ReviewCodec:
    """Return the codec of a bundle, for the length that the settings have.

    Raises:
        RecipeError: the settings want other ids.
    """
    codec = start.codec
    if not isinstance(codec, ReviewCodec):
        raise RecipeError(f"{start.folder} reads letters; start from a bundle of the task sentiment")
    found = codec.preprocessing.tokeniser.kind, codec.preprocessing.vocabulary_size
    if found != (settings.tokeniser, settings.vocabulary_size):
        raise RecipeError(
            f"{start.folder} was trained with tokeniser={found[0]}, vocabulary_size={found[1]}; "
            "set the same, as every id has its weights"
        )
    return ReviewCodec(codec.preprocessing.model_copy(update={"length": settings.length}), codec.vocabulary)


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

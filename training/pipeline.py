"""From a recipe to a published bundle: training, evaluation, card, publication."""

import importlib
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import onnx
import onnxruntime
import sklearn
from pydantic import JsonValue
from rich.console import Console

from bundle.manifest import Description
from bundle.store import MODEL_FILE, ONNX_FILES, VECTORS_FILE, Bundle, Store
from bundle.tasks import TASKS
from training.bundle_data import read_data, read_recipe
from training.data.sources import Sources
from training.distillation.stages import Stages
from training.errors import ExportError
from training.evaluation import plots
from training.evaluation.evaluate import Evaluation, predict
from training.export.exported import export
from training.export.rows import to_rows
from training.files import compress
from training.networks.onnx_network import OnnxNetwork
from training.recipes.recipe import Recipe
from training.recipes.staged import RUNS, StagedSettings
from training.reports import card
from training.reports.results import HELD_OUT, Run
from training.served import Served
from training.tasks import TRAINED
from training.tasks.trained import Trained


def train(
    recipe: Recipe,
    name: str,
    store: Store,
    sources: Sources,
    console: Console,
    start: Bundle | None = None,
    runs: Path = RUNS,
) -> Bundle:
    """Train a recipe and publish it under a name. Readers of the store see the bundle only once it is complete.

    The results of a recipe's stages are in the folder `runs`; finished stages are not trained again.

    Raises:
        DivergedError: the training diverged.
        DataError, RecipeError: see `fit_recipe`.
        OSError: the store cannot be written; this error comes before the training.
    """
    with store.stage(name) as folder:
        started = time.monotonic()
        trained = fit_recipe(recipe, sources, console, start, runs)
        seconds = trained.seconds or time.monotonic() - started
        origin = {"start": start.manifest.model_dump(include={"name", "version", "checksum"})} if start else {}
        return publish(trained, recipe, name, store, folder, seconds, origin, console)


def fit_recipe(
    recipe: Recipe, sources: Sources, console: Console, start: Bundle | None = None, runs: Path = RUNS
) -> Trained:
    """Train the network of a recipe, from random weights or from those of a bundle.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the weights of the bundle do not fit the network, or all examples are held out.
    """
    keras.utils.set_random_seed(recipe.settings.seed)
    return TRAINED[recipe.task].train(recipe, sources, console, start, runs)


def run_stages(recipe: Recipe, names: list[str], source: Path | None, console: Console, runs: Path) -> None:
    """Run some stages of a recipe, named as in `STAGES`, and the stages that they need.

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
    console: Console,
) -> Bundle:
    """Export and evaluate a network, and publish it from a staged folder.

    `seconds` is the training time. `origin` describes the first weights in the manifest, if they were not random.

    Raises:
        DivergedError: its answers are not finite numbers.
        OutputError: its answers are no probabilities of the labels.
    """
    trained.network.save(folder / MODEL_FILE)
    compress(folder / MODEL_FILE)
    served = Served.export(folder, trained.codec, trained.test, trained.held_out, console)
    labels = trained.labels or TASKS[recipe.task].labels
    served.check(labels)
    evaluation = served.evaluate(trained.test)
    if trained.learnt_from:
        origin = {**origin, "learnt_from": dict(trained.learnt_from)}
    if trained.baseline:
        origin = {**origin, "baseline": dict(trained.baseline)}
    description = _describe(recipe, name, trained, served, evaluation, origin)
    task = TRAINED[recipe.task]
    task.write_files(trained.codec, folder)
    task.plot(evaluation, labels, folder)
    if trained.history:
        plots.plot_learning_curve(trained.history, folder / plots.LEARNING_CURVE, trained.reports_per_epoch)
    analysis = served.analyse(trained.data, evaluation, labels, recipe, folder)
    card.write_card(folder, recipe, description, trained.network.count_params(), seconds, trained.stages, analysis)
    return store.publish(folder, description)


def publish_as_onnx(bundle: Bundle, source: Path | None, console: Console, quantised: bool | None) -> Bundle:
    """Publish the next version of a bundle, with the same network also as ONNX.

    Its figures and its card are measured on the form that serves.

    Args:
        bundle: any published bundle.
        source: the reviews, for a review network; see `imdb.load`.
        console: shows the progress.
        quantised: see `export`.

    Raises:
        DataError: see `imdb.load`.
        ExportError: see `export`; also if the bundle is not in a store, or the store has a later version.
        RecipeError: the recipe is not in this release.
    """
    manifest = bundle.manifest
    store = _find_store(bundle)
    recipe = read_recipe(bundle)
    data = read_data(bundle, source, console)
    with store.stage(manifest.name) as folder:
        for file in manifest.files.keys() - {*ONNX_FILES.values(), VECTORS_FILE}:
            shutil.copyfile(bundle.folder / file, folder / file)
        network = keras.saving.load_model(folder / MODEL_FILE)
        rows = to_rows(data.test, bundle.codec)
        exported = export(network, bundle.codec, folder, rows, console, data.held_out, quantised)
        served = Served(bundle.codec, network, exported)
        served.check(manifest.labels)
        evaluation = served.evaluate(data.test)
        metrics = served.measure(evaluation, data.held_out if HELD_OUT in manifest.metrics else None)
        fields = {field: getattr(manifest, field) for field in Description.model_fields}
        frameworks = manifest.frameworks | list_onnx()
        description = Description(**fields | {"metrics": metrics, "onnx": exported.onnx, "frameworks": frameworks})
        TRAINED[manifest.task].plot(evaluation, manifest.labels, folder)
        analysis = served.analyse(data.data, evaluation, manifest.labels, recipe, folder)
        card.renew_card(folder, recipe, description, analysis)
        return store.publish(folder, description)


def _find_store(bundle: Bundle) -> Store:
    """Return the store of a bundle, which must be the latest version of its name there.

    Raises:
        ExportError: it is not.
    """
    name, version = bundle.manifest.name, str(bundle.manifest.version)
    if [bundle.folder.parent.name, bundle.folder.name] != [name, version]:
        raise ExportError(f"{bundle.folder} holds {name} version {version}; move it to a folder {name}/{version}")
    store = Store(bundle.folder.parents[1])
    if (latest := store.versions(name)[-1]) != bundle.manifest.version:
        raise ExportError(
            f"{bundle.folder} is older than version {latest}, which its export would replace; export version {latest}, "
            "or move it away"
        )
    return store


def record(recipe: Recipe, source: Path | None, console: Console) -> Run:
    """Train a recipe for the report, without a bundle. The console shows the progress.

    Raises:
        DivergedError: the training diverged.
        DataError: see `imdb.load`.
    """
    keras.backend.clear_session()  # frees the previous runs
    started = time.monotonic()
    trained = fit_recipe(recipe, Sources(source), console)
    seconds = time.monotonic() - started
    served = Served(trained.codec, trained.network, None)
    assert trained.dataset.sha256
    return Run.record(
        recipe,
        served.measure(served.evaluate(trained.test), trained.held_out),
        trained.history,
        trained.dataset.sha256,
        trained.network.count_params(),
        seconds,
        list_frameworks(with_torch=trained.with_torch),
    )


def evaluate_bundle(
    bundle: Bundle, source: Path | None, console: Console, engine: Literal["onnx", "tensorflow"] = "onnx"
) -> tuple[Evaluation, str | None]:
    """Evaluate a bundle on the data of its recipe; also return the SHA-256 of the data.

    `engine` is `onnx` to run it as the service does, or `tensorflow` to run it with Keras.

    Raises:
        DataError: see `imdb.load`.
        RecipeError: the recipe is not in this release.
    """
    data = read_data(bundle, source, console)
    if engine == "onnx" and bundle.manifest.onnx:
        network = OnnxNetwork(bundle.onnx_path(bundle.manifest.onnx.default))
        answers = network.predict(to_rows(data.test, bundle.codec))
    else:
        answers = predict(keras.saving.load_model(bundle.model_path), data.test)
    return TRAINED[bundle.manifest.task].evaluate(bundle.codec, answers, data.test.labels), data.sha256


def _describe(
    recipe: Recipe,
    name: str,
    trained: Trained,
    served: Served,
    evaluation: Evaluation,
    origin: Mapping[str, JsonValue],
) -> Description:
    codec = trained.codec
    return Description(
        name=name,
        task=recipe.task,
        recipe={"name": recipe.name, "settings": recipe.settings.model_dump(mode="json"), **origin},
        preprocessing=codec.preprocessing,
        labels=trained.labels or TASKS[recipe.task].labels,
        metrics=served.measure(evaluation, trained.held_out),
        dataset=trained.dataset,
        frameworks=list_frameworks(with_torch=trained.with_torch) | (list_onnx() if served.exported else {}),
        onnx=served.exported.onnx if served.exported else None,
    )


def list_onnx() -> dict[str, str]:
    """Return the releases of ONNX's libraries."""
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def list_frameworks(with_torch: bool = False) -> dict[str, str]:
    """Return the releases of Python and the libraries in this process."""
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

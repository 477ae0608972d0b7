"""A network as the service runs it, for measurements of the served form."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.codec import Codec
from bundle.probabilities import make_probe_rows
from bundle.rows import Row
from bundle.store import MODEL_FILE, ONNX_FILES, VECTORS_FILE, Bundle
from bundle.tasks import count_outputs
from training.data.examples import Examples
from training.errors import OutputError
from training.evaluation.evaluate import Evaluation, check_answers, predict
from training.export.exported import Exported, describe, export
from training.export.rows import to_rows
from training.networks.ends import find_end
from training.networks.onnx_network import OnnxNetwork
from training.recipes.recipe import Recipe
from training.reports.results import HELD_OUT
from training.tasks import find_task


@dataclass(frozen=True)
class Served:
    """A network as the service runs it: as ONNX, or with Keras if it cannot be exported."""

    codec: Codec
    network: keras.Model
    exported: Exported | None

    @classmethod
    def export(
        cls,
        folder: Path,
        codec: Codec,
        test: Examples,
        held_out: Examples | None,
        console: Console,
    ) -> Self:
        """Export the network that was saved in a folder, or print why it cannot be exported."""
        network = keras.saving.load_model(folder / MODEL_FILE)
        try:
            exported = export(network, codec, folder, to_rows(test, codec), console, held_out)
        except Exception as error:  # any error of ONNX: hours of training must not be lost
            remove_onnx(folder)
            console.print(f"Published without model.onnx: {describe(error)}", markup=False, style="yellow")
            return cls(codec, network, None)
        return cls(codec, network, exported)

    @classmethod
    def open(cls, bundle: Bundle) -> Self:
        """Open a published bundle, as the service does by default."""
        onnx = bundle.manifest.onnx
        exported = Exported(onnx, OnnxNetwork(bundle.onnx_path(onnx.default))) if onnx else None
        return cls(bundle.codec, keras.saving.load_model(bundle.model_path), exported)

    def predict(self, examples: Examples) -> NDArray[np.float32]:
        """Return the answers to examples, float32 [examples, outputs]."""
        if self.exported:
            return self.exported.network.predict(to_rows(examples, self.codec))
        return predict(self.network, examples)

    def evaluate(self, examples: Examples) -> Evaluation:
        """Measure the network on examples: see `TrainedTask.evaluate`."""
        return find_task(self.codec).evaluate(self.codec, self.predict(examples), examples.labels)

    def check(self, labels: Sequence[str]) -> None:
        """Return if the network answers with probabilities of these labels, on the rows that the service tries too.

        Its end has to be a sigmoid or a softmax, as far as its structure shows it.

        Raises:
            DivergedError: its answers are not finite numbers.
            OutputError: they are no probabilities, or too many or too few.
        """
        answers = self.predict_rows([*make_probe_rows(self.codec)])
        expected = count_outputs(labels)
        if answers.shape[1] != expected:
            raise OutputError(f"the network has {answers.shape[1]} outputs, but {len(labels)} labels need {expected}")
        check_answers(answers)
        end = find_end(self.network)
        if end.is_known and not end.gives_probabilities(expected):
            raise OutputError(
                f"the network ends with {end}, so its outputs are no probabilities; end it with a sigmoid for two "
                "labels, or a softmax for more"
            )

    def measure(self, evaluation: Evaluation, held_out: Examples | None) -> dict[str, float]:
        """Return the metrics of an evaluation, with the accuracy on held-out examples if there are any."""
        if held_out is None:
            return evaluation.metrics
        return evaluation.metrics | {HELD_OUT: self.evaluate(held_out).metrics["accuracy"]}

    def analyse(self, data: object, evaluation: Evaluation, labels: Sequence[str], recipe: Recipe, folder: Path) -> str:
        """Return the analysis of a network's answers for the card in a folder: see `TrainedTask.analyse`."""
        task, seed = find_task(self.codec), recipe.settings.seed
        return task.analyse(self.codec, data, evaluation, labels, self.predict_rows, seed, folder)

    def predict_rows(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return the answers to rows, float32 [rows, outputs]."""
        if self.exported:
            return self.exported.network.predict(rows)
        padded: Any = self.codec.pad(list(rows))
        return predict(self.network, Examples(padded, np.zeros(len(rows), np.int32)))


def remove_onnx(folder: Path) -> None:
    """Remove the ONNX files of a bundle whose export failed."""
    for name in (*ONNX_FILES.values(), VECTORS_FILE):
        (folder / name).unlink(missing_ok=True)

"""A network as the service runs it, to measure what is served."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec
from bundle.store import MODEL_FILE, ONNX_FILES, VECTORS_FILE
from training import analysis, imdb
from training.evaluate import Evaluation, evaluate, predict
from training.export import Exported, describe, export, to_rows
from training.fit import Examples
from training.recipes import Recipe
from training.results import HELD_OUT


@dataclass(frozen=True)
class Served:
    """A network as the service runs it: as ONNX, or by Keras where it cannot be exported."""

    codec: LetterCodec | ReviewCodec
    network: keras.Model
    exported: Exported | None

    @classmethod
    def export(
        cls,
        folder: Path,
        codec: LetterCodec | ReviewCodec,
        test: Examples,
        held_out: Examples | None,
        console: Console,
    ) -> Self:
        """Export the network that was saved in a folder, or tell why it cannot be."""
        network = keras.saving.load_model(folder / MODEL_FILE)
        try:
            exported = export(network, codec, folder, to_rows(test, codec), console, held_out)
        except Exception as error:  # whatever ONNX makes of it: a training of hours must not be lost
            for name in (*ONNX_FILES.values(), VECTORS_FILE):
                (folder / name).unlink(missing_ok=True)
            console.print(f"Published without model.onnx: {describe(error)}", markup=False, style="yellow")
            return cls(codec, network, None)
        return cls(codec, network, exported)

    def predict(self, examples: Examples) -> NDArray[np.float32]:
        """Return the answers to examples, float32 [examples, outputs]."""
        if self.exported:
            return self.exported.network.predict(to_rows(examples, self.codec))
        return predict(self.network, examples)

    def evaluate(self, examples: Examples) -> Evaluation:
        """Measure the network on examples: see `evaluate`."""
        return evaluate(self.predict(examples), examples.labels)

    def measure(self, evaluation: Evaluation, held_out: Examples | None) -> dict[str, float]:
        """Return the metrics of an evaluation, and of examples that were held out the accuracy."""
        if held_out is None:
            return evaluation.metrics
        return evaluation.metrics | {HELD_OUT: self.evaluate(held_out).metrics["accuracy"]}

    def analyse(self, reviews: imdb.Imdb | None, evaluation: Evaluation, recipe: Recipe) -> str:
        """Return what a card tells of a review network's answers, "" of a letter network: see `analysis.describe`."""
        codec = self.codec
        if not isinstance(codec, ReviewCodec):
            return ""
        assert reviews is not None

        def answer(texts: Sequence[str]) -> NDArray[np.float32]:
            rows = [codec.encode(text).ids for text in texts]
            if self.exported:
                return self.exported.network.predict(rows)[:, 0]
            return predict(self.network, Examples(codec.pad(rows), np.zeros(len(rows), np.int32)))[:, 0]

        return analysis.describe(reviews, evaluation, answer, recipe.settings.seed)

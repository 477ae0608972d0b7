"""The interface of a task in training: it trains and measures networks, and fills their bundles and cards."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rich.console import Console

from bundle.codec import Codec
from bundle.manifest import Description
from bundle.rows import Row
from bundle.store import Bundle
from bundle.tasks import Task
from training.convert.state import State
from training.data.sources import Sources
from training.evaluation.evaluate import Evaluation, evaluate
from training.recipes.recipe import Recipe
from training.recipes.settings import RecipeSettings
from training.tasks.trained import BundleData, Trained

CodecT = TypeVar("CodecT", bound=Codec)
SettingsT = TypeVar("SettingsT", bound=RecipeSettings)

Predict = Callable[[Sequence[Row]], NDArray[np.float32]]  # rows to outputs, float32 [rows, outputs]


class TrainedTask(ABC, Generic[CodecT, SettingsT]):
    """A task that networks are trained for.

    Attributes:
        task: the task that the networks serve.
        plain: the settings that PyTorch's nn.LSTM with a linear layer can have.
    """

    task: ClassVar[Task]
    plain: ClassVar[Mapping[str, object]]

    @abstractmethod
    def train(self, recipe: Recipe, sources: Sources, console: Console, start: Bundle | None, runs: Path) -> Trained:
        """Train the network of a recipe: see `pipeline.fit_recipe`."""

    @abstractmethod
    def convert(
        self, state: State, settings: SettingsT, vocabulary: Path | None, source: Path | None, console: Console
    ) -> Trained:
        """Return a network with weights from PyTorch, and its test data, which are read last.

        Args:
            state: the weights.
            settings: the settings of the network.
            vocabulary: file of the words that the network reads, if the task has words.
            source: the source of the data, if they are not generated.
            console: shows the progress.

        Raises:
            ConversionError: the weights do not fit the network, or the vocabulary is missing.
        """

    @abstractmethod
    def read_settings(self, fields: Mapping[str, JsonValue]) -> SettingsT:
        """Return the settings of a bundle's network from the recorded settings of its recipe.

        Raises:
            ValidationError: they do not fit this release.
        """

    @abstractmethod
    def read_data(
        self,
        codec: CodecT,
        settings: SettingsT,
        share: float,
        source: Path | None,
        console: Console,
        labels: tuple[str, ...],
    ) -> BundleData:
        """Return the data that a bundle with these labels is measured on; `share` of its training data was held out.

        Raises:
            DataError: the data are not available.
        """

    @abstractmethod
    def describe_use(self, recipe: Recipe, description: Description) -> str:
        """Return a card's description of what a network is for and where its answers mean little, Markdown."""

    @abstractmethod
    def describe_examples(self, recipe: Recipe, description: Description) -> str:
        """Return a card's description of the examples that its figures were measured on."""

    def list_conversion_options(self, description: Description) -> list[str]:  # noqa: ARG002
        """Return the options of `convert from-torch` that reproduce a bundle, besides the settings."""
        return []

    def write_files(self, codec: CodecT, folder: Path) -> None:  # noqa: B027  # most tasks need none
        """Write the files that the codec needs into the folder of a bundle."""

    def evaluate(
        self,
        codec: CodecT,  # noqa: ARG002
        answers: NDArray[np.float32],
        labels: NDArray[np.int32],
    ) -> Evaluation:
        """Measure the quality of answers: see `training.evaluation.evaluate.evaluate`. A task may have metrics more."""
        return evaluate(answers, labels)

    def plot(self, evaluation: Evaluation, labels: Sequence[str], folder: Path) -> None:  # noqa: B027  # most have none
        """Write the plots of an evaluation into the folder of a bundle with these labels."""

    def analyse(
        self,
        codec: CodecT,  # noqa: ARG002
        data: object,  # noqa: ARG002
        evaluation: Evaluation,  # noqa: ARG002
        labels: Sequence[str],  # noqa: ARG002
        predict: Predict,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        folder: Path,  # noqa: ARG002
    ) -> str:
        """Return the accuracy of a network by kind of example: Markdown for its card.

        Args:
            codec: the codec of the network.
            data: `data` of `Trained` or `BundleData`.
            evaluation: of the network on the test examples.
            labels: of the bundle.
            predict: runs the network.
            seed: random seed.
            folder: of the bundle, for files that belong to the analysis.
        """
        return ""

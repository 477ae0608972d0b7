"""The settings of LSTM layers and of their training, shared by letter and review recipes."""

import json
from typing import Literal, Self

from pydantic import Field, model_validator

from training.recipes.settings import RecipeSettings, Share, Units

# The settings that PyTorch's nn.LSTM with a linear layer can have.
PLAIN_STACK: dict[str, object] = {
    "mask_padding": False,
    "pooling": "last",
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "normalisation": "none",
}
# The settings of the PyTorch loop; the last three apply only to Keras.
PLAIN_TRAINING: dict[str, object] = {
    "input_dropout": 0,
    "recurrent_dropout": 0,
    "output_dropout": 0,
    "loss": "cross-entropy",
    "optimiser": "adam",
    "weight_decay": None,
    "schedule": "constant",
    "clip_norm": None,
    "validation_share": 0,
    "patience": None,
    "initialiser": "glorot_uniform",
    "recurrent_initialiser": "orthogonal",
    "steps_per_call": 1,
}


class StackSettings(RecipeSettings):
    """The LSTM layers of every network; the defaults are those of Keras."""

    units: Units = Field(description="Units of the first LSTM layer, per direction.")
    further_units: tuple[Units, ...] = Field(
        default=(),
        max_length=7,
        description="Units of the LSTM layers on top of it, from the lowest, as in `[64, 32]`.",
    )
    bidirectional: bool = Field(default=False, description="In every layer a second LSTM reads backwards.")
    mask_padding: bool = Field(default=False, description="The network skips the padding.")
    pooling: Literal["last", "mean-max"] = Field(
        default="last", description="Input of the classifier: the last state, or mean and maximum over the steps."
    )
    activation: Literal["tanh", "relu", "softsign", "sigmoid", "linear"] = Field(
        default="tanh", description="Activation of the candidate and of the output state."
    )
    recurrent_activation: Literal["sigmoid", "hard_sigmoid", "tanh"] = Field(
        default="sigmoid", description="Activation of the three gates."
    )
    use_bias: bool = Field(default=True, description="Whether the gates have a bias.")
    initialiser: Literal["glorot_uniform", "glorot_normal", "he_normal", "lecun_normal", "orthogonal"] = Field(
        default="glorot_uniform", description="Initialiser of an LSTM's input weights."
    )
    recurrent_initialiser: Literal["orthogonal", "glorot_uniform", "glorot_normal"] = Field(
        default="orthogonal", description="Initialiser of an LSTM's recurrent weights."
    )
    normalisation: Literal["none", "batch", "layer"] = Field(
        default="none", description="After every LSTM layer: batch normalisation, layer normalisation or none."
    )
    input_dropout: Share = Field(
        default=0, description="Share of an LSTM's inputs that is dropped, the same at all steps."
    )
    recurrent_dropout: Share = Field(default=0, description="Share of an LSTM's own state that is dropped.")
    output_dropout: Share = Field(default=0, description="Share of the classifier's input that is dropped.")

    def differences(self, **wanted: object) -> str:
        """Return the assignments of the wanted values, for the fields that have other values.

        A field that these settings do not have does not count.
        """
        wrong = {name: value for name, value in wanted.items() if getattr(self, name, value) != value}
        return ", ".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in wrong.items()
        )

    @model_validator(mode="after")
    def _pooling_needs_a_mask(self) -> Self:
        if self.pooling == "mean-max" and not self.mask_padding:
            raise ValueError("pooling=mean-max pools over the steps that are not padding and needs mask_padding=true")
        return self


class TrainingSettings(StackSettings):
    """How a network is trained; the defaults are those of Keras."""

    loss: Literal["cross-entropy", "squared-error"] = Field(
        default="cross-entropy", description="Loss of the probabilities."
    )
    optimiser: Literal["adam", "rmsprop", "sgd"] = Field(default="adam", description="Optimiser of Keras.")
    weight_decay: float | None = Field(
        default=None, gt=0, description="Share of every weight subtracted per step, times the learning rate."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate at the first step.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Schedule of the learning rate; cosine falls to zero at the last step."
    )
    clip_norm: float | None = Field(default=None, gt=0, description="Gradients are scaled to at most this L2 norm.")
    batch_size: int = Field(ge=1, description="Examples per step.")
    epochs: int = Field(ge=1, description="Passes over the training data.")
    shuffle: bool = Field(default=True, description="Every epoch has the examples in a different order.")
    validation_share: Share = Field(default=0, description="Share of the training data held out.")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after this many epochs without a better loss, and restore the best."
    )
    steps_per_call: int = Field(
        default=1, ge=1, description="Steps run without returning to Python: changes the speed, not the weights."
    )
    seed: int = Field(
        default=7, ge=0, lt=2**32, description="Seed of the data's order, the first weights and the dropout."
    )

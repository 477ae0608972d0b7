"""The settings of LSTM layers and of their training, which the families of letters and of reviews share."""

import json
from typing import Literal, Self

from pydantic import Field, model_validator

from training.recipes.settings import RecipeSettings, Share, Units

# What PyTorch's nn.LSTM and a linear layer have too.
PLAIN_STACK: dict[str, object] = {
    "mask_padding": False,
    "pooling": "last",
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "normalisation": "none",
}
# What the PyTorch loop does; the last three are Keras' own, for which it has no use.
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
        default="last", description="What the classifier sees: the last state, or mean and maximum over the steps."
    )
    activation: Literal["tanh", "relu", "softsign", "sigmoid", "linear"] = Field(
        default="tanh", description="Of the candidate and of the state that is put out."
    )
    recurrent_activation: Literal["sigmoid", "hard_sigmoid", "tanh"] = Field(
        default="sigmoid", description="Of the three gates."
    )
    use_bias: bool = Field(default=True, description="Whether the gates have one.")
    initialiser: Literal["glorot_uniform", "glorot_normal", "he_normal", "lecun_normal", "orthogonal"] = Field(
        default="glorot_uniform", description="Of the weights of an LSTM's inputs."
    )
    recurrent_initialiser: Literal["orthogonal", "glorot_uniform", "glorot_normal"] = Field(
        default="orthogonal", description="Of the weights of an LSTM's own state."
    )
    normalisation: Literal["none", "batch", "layer"] = Field(
        default="none", description="Behind every LSTM layer: batch normalisation, layer normalisation or none."
    )
    input_dropout: Share = Field(
        default=0, description="Share of an LSTM's inputs that is dropped, the same at all steps."
    )
    recurrent_dropout: Share = Field(default=0, description="The same of its own state.")
    output_dropout: Share = Field(default=0, description="Share of what the classifier sees that is dropped.")

    def differences(self, **wanted: object) -> str:
        """Return the assignments of the wanted values, for the fields that have other values."""
        wrong = {name: value for name, value in wanted.items() if getattr(self, name) != value}
        return ", ".join(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in wrong.items()
        )

    @model_validator(mode="after")
    def _pooling_needs_a_mask(self) -> Self:
        if self.pooling == "mean-max" and not self.mask_padding:
            raise ValueError("pooling=mean-max pools over what is not padding and needs mask_padding=true")
        return self


class TrainingSettings(StackSettings):
    """How a network is trained; the defaults are those of Keras."""

    loss: Literal["cross-entropy", "squared-error"] = Field(
        default="cross-entropy", description="Of the probabilities."
    )
    optimiser: Literal["adam", "rmsprop", "sgd"] = Field(default="adam", description="As Keras has it.")
    weight_decay: float | None = Field(
        default=None, gt=0, description="Share of every weight taken off per step, times the learning rate."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="At the first step.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Of the learning rate; cosine falls to zero at the last step."
    )
    clip_norm: float | None = Field(default=None, gt=0, description="Gradients are scaled to at most this L2 norm.")
    batch_size: int = Field(ge=1, description="Examples a step.")
    epochs: int = Field(ge=1, description="Passes over the training data.")
    shuffle: bool = Field(default=True, description="Every epoch has the examples in another order.")
    validation_share: Share = Field(default=0, description="Share of the training data held out.")
    patience: int | None = Field(
        default=None, ge=1, description="Stop after this many epochs without a better loss, and restore the best."
    )
    steps_per_call: int = Field(
        default=1, ge=1, description="Steps run without returning to Python: changes the speed, not the weights."
    )
    seed: int = Field(default=7, ge=0, lt=2**32, description="Of the data's order, the first weights and the dropout.")

"""What a recipe chooses, every choice with its limits."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle.reviews import RESERVED_IDS

KERAS_RANKS = 9_996  # words in keras_words.txt; with the reserved ids the usual 10,000
MOST_LETTERS = 26  # of a run that stays within the alphabet, or goes round it once

# Defaults are checked too, so that a field has numbers of one type: stages are found again by what they depend on.
_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

Units = Annotated[int, Field(ge=1, le=4096)]
Share = Annotated[float, Field(ge=0, lt=1)]


def flatten(settings: BaseModel) -> dict[str, tuple[Any, str]]:
    """Return the value and the meaning of every field; one of settings within has a name such as `student.units`."""
    found: dict[str, tuple[Any, str]] = {}
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        if isinstance(within := getattr(settings, name), BaseModel):
            found |= {f"{name}.{inner}": told for inner, told in flatten(within).items()}
        else:
            found[name] = values[name], field.description or ""
    return found


# What PyTorch's nn.LSTM and a linear layer have too.
PLAIN_STACK: dict[str, object] = {
    "mask_padding": False,
    "pooling": "last",
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "normalisation": "none",
}
PLAIN_LETTERS: dict[str, object] = PLAIN_STACK | {"features": 0, "stateful": False}
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


class StackSettings(BaseModel):
    """The LSTM layers of every network; the defaults are those of Keras."""

    model_config = _STRICT

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
        """Return the assignments that would give fields the values wanted, of those that have others."""
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


class LetterSettings(TrainingSettings):
    """LSTM layers over the letters, then a softmax over the alphabet."""

    patterns: Literal["random", "all", "alphabet", "prefixes"] = Field(
        description="`random`: runs within the alphabet as the reference draws them; "
        "`all`: from every letter, of every length, wrapping round from Z to A; "
        "`alphabet`: all runs of the longest length within the alphabet; `prefixes`: those of any length from A on."
    )
    examples: int = Field(default=1000, ge=1, description="Number of `random` patterns.")
    short_run_copies: int = Field(
        default=1,
        ge=1,
        description="Copies of a one-letter run in the training data; one of n letters has 1/n as many, at least one.",
    )
    length: int = Field(ge=1, le=1000, description="Letters of the longest sequence.")
    layout: Literal["steps", "features"] = Field(
        default="steps", description="A letter is a time step, or all are the features of a single one."
    )
    first_code: Literal[0, 1] = Field(
        default=1, description="Code of the letter A; padding is 0, or -1 where A is 0 and the padding is masked."
    )
    mask_padding: bool = Field(default=True, description="The network skips the padding.")
    features: int = Field(
        default=0, ge=0, le=4096, description="Units of a tanh layer that spreads a letter's number out; 0 for none."
    )
    framework: Literal["keras", "torch"] = Field(
        default="keras", description="What it is trained with; its bundle has a Keras network either way."
    )
    stateful: bool = Field(
        default=False,
        description="Trained letter by letter, with the state carried on through an epoch and reset after it.",
    )

    @model_validator(mode="after")
    def _only_random_patterns_have_a_number(self) -> Self:
        if self.patterns != "random" and self.examples != type(self).model_fields["examples"].default:
            raise ValueError(f"patterns={self.patterns} are as many as there are; examples is for patterns=random")
        return self

    @model_validator(mode="after")
    def _runs_fit_the_alphabet(self) -> Self:
        if self.patterns in ("alphabet", "prefixes") and self.length >= MOST_LETTERS:
            raise ValueError(
                f"patterns={self.patterns} needs a length below {MOST_LETTERS}: behind Z there is no letter"
            )
        return self

    @model_validator(mode="after")
    def _features_are_one_step(self) -> Self:
        if self.layout == "features" and (self.mask_padding or self.features or self.stateful):
            raise ValueError(
                "layout=features has a single step: it needs mask_padding=false, features=0, stateful=false"
            )
        return self

    @model_validator(mode="after")
    def _state_has_one_way_through_an_epoch(self) -> Self:
        if self.stateful and (
            wrong := self.differences(
                patterns="prefixes",
                mask_padding=True,
                bidirectional=False,
                pooling="last",
                normalisation="none",
                batch_size=1,
                shuffle=False,
                validation_share=0,
                short_run_copies=1,
            )
        ):
            raise ValueError(f"stateful=true reads the alphabet letter by letter and needs {wrong}")
        return self

    @model_validator(mode="after")
    def _torch_trains_plain_networks(self) -> Self:
        if self.framework == "torch" and (wrong := self.differences(**PLAIN_LETTERS, **PLAIN_TRAINING)):
            raise ValueError(f"framework=torch has nn.LSTM, a linear layer, cross-entropy and Adam and needs {wrong}")
        return self


class ReviewSettings(TrainingSettings):
    """Embedding, LSTM layers, then one sigmoid."""

    tokeniser: Literal["keras", "words", "tokens"] = Field(
        description="Words as `keras.datasets.imdb` has them, with the marks that carry sentiment, or with all marks "
        "and what is in capitals."
    )
    endings: int = Field(
        default=0, ge=0, description="Ids, of `vocabulary_size`, for the endings of words that have none of their own."
    )
    ranks: Literal["counted", "keras"] = Field(
        default="counted",
        description="Word ranks: counted on the reviews that are trained on, or those of `keras.datasets.imdb`, which "
        "differ from those counted on the labelled ones only in the order of words that are equally frequent.",
    )
    vocabulary_size: int = Field(ge=5, description="Number of word ids, the four reserved ones included.")
    length: int = Field(ge=1, le=10_000, description="Words read of a review; of longer ones the last.")
    embedding: int = Field(ge=1, le=4096, description="Size of a word's vector.")
    embedding_dropout: Share = Field(default=0, description="Share of vector components, the same all over.")
    validation_share: Share = Field(default=0.2, description="Share of the training reviews held out.")
    validation: Literal["random", "last"] = Field(
        default="random", description="Held out at random, or the last files of either label, which are other films."
    )

    @model_validator(mode="after")
    def _endings_are_of_tokens(self) -> Self:
        if self.endings and self.tokeniser != "tokens":
            raise ValueError("endings are of tokeniser=tokens; set endings=0")
        _check_endings(self.endings, self.vocabulary_size)
        return self

    @model_validator(mode="after")
    def _keras_ranks_reach(self) -> Self:
        if self.ranks == "keras" and (self.vocabulary_size > KERAS_RANKS + RESERVED_IDS or self.tokeniser != "keras"):
            raise ValueError(
                f"ranks=keras needs tokeniser=keras and a vocabulary_size of at most {KERAS_RANKS + RESERVED_IDS}; "
                "choose ranks=counted"
            )
        return self


def _check_endings(endings: int, vocabulary_size: int) -> None:
    most = vocabulary_size - RESERVED_IDS - 1
    if endings > max(most, 0):
        raise ValueError(f"of vocabulary_size={vocabulary_size} ids at most {most} can be endings")


class LanguageSettings(BaseModel):
    """A language model, whose LSTMs and word vectors review networks begin with, and how it is trained."""

    model_config = _STRICT

    units: Units = Field(description="Units of the LSTM of either direction.")
    embedding: int = Field(ge=1, le=4096, description="Components of a word's vector.")
    passes: float = Field(gt=0, description="Over all reviews, labelled or not, that are not held out.")
    batch_size: int = Field(default=128, ge=1, description="Streams of reviews read side by side.")
    steps: int = Field(
        default=70, ge=1, description="Words a stream is read on by, through which errors are traced back."
    )
    sample: int = Field(default=1024, ge=1, description="Words that the right one is told apart from.")
    learning_rate: float = Field(default=3e-3, gt=0, description="At the first step; it falls to zero as a cosine.")
    dropout: Share = Field(default=0.1, description="Share of the components of word vectors, the same at all steps.")
    output_dropout: Share = Field(default=0, description="The same of the states that words are predicted from.")
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled to at most this L2 norm.")
    checkpoint_steps: int = Field(default=100, ge=1, description="Steps between two checkpoints.")


class NgramSettings(BaseModel):
    """How a logistic regression of n-grams is trained."""

    model_config = _STRICT

    longest: int = Field(default=3, ge=1, le=5, description="Words in the longest n-gram.")
    fewest_reviews: int = Field(default=2, ge=1, description="Fewest reviews that an n-gram has to be in.")
    c: float = Field(default=1.0, gt=0, description="Inverse of the L2 regularisation.")


class TuningSettings(BaseModel):
    """How a bidirectional review network is trained from a language model."""

    model_config = _STRICT

    epochs: int = Field(ge=1, description="Passes over the reviews that are trained on.")
    length: int = Field(default=400, ge=1, le=10_000, description="Words and marks trained on of a review, the last.")
    batch_size: int = Field(default=64, ge=1, description="Reviews a step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="The highest; it falls to a tenth as a cosine.")
    warm_up: Share = Field(default=0.1, description="Share of the steps in which it rises from zero.")
    recurrent_rate: float = Field(
        default=0.5, gt=0, le=1, description="Share of it for the LSTM, which the language model has taught to read."
    )
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled to at most this L2 norm.")
    word_dropout: Share = Field(default=0.05, description="Share of words replaced by the unknown word.")
    embedding_dropout: Share = Field(default=0.3, description="Share of the components of word vectors, at all steps.")
    output_dropout: Share = Field(default=0.3, description="Share of what the classifier sees.")
    averaging: Share = Field(
        default=0.1, description="Share of the steps that the average of the weights is over, which is what is kept."
    )
    adversarial: Literal["none", "supervised", "virtual"] = Field(
        default="none", description="Worst case that is trained against: away from the label, or from the own answer."
    )
    epsilon: float = Field(default=5.0, gt=0, description="L2 length of the worst step over a whole review.")
    adversarial_weight: float = Field(default=1.0, gt=0, description="Weight of the worst case's loss.")
    checkpoint_steps: int = Field(default=400, ge=1, description="Steps between two checkpoints, about.")


RUNS = Path("runs")  # the folder of what stages leave
STAGES = ("corpus", "ngrams", "language", "teachers", "labels", "second_round", "student")


class RoundSettings(BaseModel):
    """A further round of labels, by a teacher that has learnt from those of the round before."""

    model_config = _STRICT

    language: LanguageSettings = Field(description="The language model that this teacher begins with.")
    teacher: TuningSettings


class StagedSettings(BaseModel):
    """A sentiment network trained in stages: see `training.stages`."""

    model_config = _STRICT

    vocabulary_size: int = Field(ge=5, description="Number of ids, the reserved ones and the endings included.")
    endings: int = Field(ge=0, description="Ids for words outside the vocabulary, by the longest known ending.")
    length: int = Field(
        ge=1, le=10_000, description="Words and marks read of a review when it is answered; of longer ones the last."
    )
    validation_share: float = Field(
        gt=0, lt=1, description="Share of the labelled reviews held out, the last files of either label."
    )
    ngrams: NgramSettings = NgramSettings()
    language: LanguageSettings = Field(description="The language model that teachers begin with.")
    folds: int = Field(
        ge=2,
        le=20,
        description="Teachers and n-gram models, each trained without a part of the labelled reviews, which it labels.",
    )
    teacher: TuningSettings
    label_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of a review's own label beside that by teachers which have not seen it.",
    )
    second_round: RoundSettings | None = Field(
        default=None,
        description="A teacher that learns from the labels of all reviews; those without a label of their own get the "
        "mean, in logits, of its answer and of what the first teachers and n-grams gave them.",
    )
    student_language: LanguageSettings | None = Field(
        default=None,
        description="A language model for a smaller student, over the principal components of the last teachers' "
        "vectors.",
    )
    student: TuningSettings
    seed: int = Field(default=7, ge=0, lt=2**32, description="Of the data's order, the first weights and the dropout.")

    @model_validator(mode="after")
    def _words_are_left(self) -> Self:
        _check_endings(self.endings, self.vocabulary_size)
        return self

    @model_validator(mode="after")
    def _vectors_can_be_reduced(self) -> Self:
        name = "second_round.language" if self.second_round else "language"
        if self.student_language and self.student_language.embedding > self.last_language.embedding:
            raise ValueError(
                "the student's word vectors are made of the teachers'; "
                f"student_language.embedding={self.student_language.embedding} can be at most "
                f"{name}.embedding={self.last_language.embedding}"
            )
        return self

    @property
    def last_language(self) -> LanguageSettings:
        """The language model of the last teachers."""
        return self.second_round.language if self.second_round else self.language

    @property
    def published(self) -> ReviewSettings:
        """The settings of the student's network."""
        return self.network(self.student_language or self.last_language, self.student)

    def network(self, language: LanguageSettings, tuning: TuningSettings) -> ReviewSettings:
        """Return the settings of a network that begins with a language model."""
        return ReviewSettings(
            tokeniser="tokens",
            vocabulary_size=self.vocabulary_size,
            endings=self.endings,
            length=self.length,
            embedding=language.embedding,
            units=language.units,
            bidirectional=True,
            pooling="mean-max",
            mask_padding=True,
            embedding_dropout=tuning.embedding_dropout,
            output_dropout=tuning.output_dropout,
            batch_size=tuning.batch_size,
            epochs=tuning.epochs,
            validation_share=self.validation_share,
            validation="last",
            seed=self.seed,
        )


Settings = LetterSettings | ReviewSettings | StagedSettings

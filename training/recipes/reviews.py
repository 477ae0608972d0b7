"""Film reviews to their sentiment, trained without stages: the settings of this family, and its recipes."""

from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from bundle.reviews import RESERVED_IDS
from bundle.tasks import SENTIMENT, Task
from training.recipes.recipe import Recipe
from training.recipes.settings import Share
from training.recipes.stack import TrainingSettings

KERAS_RANKS = 9_996  # words in keras_words.txt; with the reserved ids the usual 10,000


class ReviewSettings(TrainingSettings):
    """Embedding, LSTM layers, then one sigmoid."""

    task: ClassVar[Task] = SENTIMENT

    tokeniser: Literal["keras", "words", "tokens", "readable"] = Field(
        description="`keras`: words as in `keras.datasets.imdb`; `words`: with the marks that carry sentiment; "
        "`tokens`: with all marks, and words in capitals; `readable`: the same of text as a reader sees it, with "
        "emoji, stars, mentions and addresses."
    )
    endings: int = Field(
        default=0, ge=0, description="Ids, of `vocabulary_size`, for the endings of words without an id of their own."
    )
    ranks: Literal["counted", "keras"] = Field(
        default="counted",
        description="Word ranks: counted on the training reviews, or taken from `keras.datasets.imdb`; the latter "
        "differ from ranks counted on the labelled reviews only in the order of equally frequent words.",
    )
    vocabulary_size: int = Field(ge=5, description="Number of word ids, including the four reserved ids.")
    length: int = Field(ge=1, le=10_000, description="Words read of a review; of a longer review the last ones.")
    embedding: int = Field(ge=1, le=4096, description="Size of a word's vector.")
    embedding_dropout: Share = Field(
        default=0, description="Share of vector components that is dropped, the same at all steps."
    )
    validation_share: Share = Field(default=0.2, description="Share of the training reviews held out.")
    validation: Literal["random", "last"] = Field(
        default="random", description="Held out at random, or the last files of either label, which have other films."
    )

    @model_validator(mode="after")
    def _endings_are_of_tokens(self) -> Self:
        if self.endings and self.tokeniser not in ("tokens", "readable"):
            raise ValueError("endings need tokeniser=tokens or tokeniser=readable; set endings=0")
        check_endings(self.endings, self.vocabulary_size)
        return self

    @model_validator(mode="after")
    def _keras_ranks_reach(self) -> Self:
        if self.ranks == "keras" and (self.vocabulary_size > KERAS_RANKS + RESERVED_IDS or self.tokeniser != "keras"):
            raise ValueError(
                f"ranks=keras needs tokeniser=keras and a vocabulary_size of at most {KERAS_RANKS + RESERVED_IDS}; "
                "choose ranks=counted"
            )
        return self


def check_endings(endings: int, vocabulary_size: int) -> None:
    """Check that the endings leave at least one id for words.

    Raises:
        ValueError: they do not.
    """
    most = vocabulary_size - RESERVED_IDS - 1
    if endings > max(most, 0):
        raise ValueError(f"of vocabulary_size={vocabulary_size} ids at most {most} can be endings")


_KERAS_EXAMPLE = "the usual Keras example on keras.datasets.imdb"

# For reviews: the networks of the source overfit after two epochs.
_LESS_OVERFITTING: dict[str, JsonValue] = {
    "learning_rate": 0.003,
    "schedule": "cosine",
    "embedding_dropout": 0.3,
    "output_dropout": 0.3,
}

RECIPES = (
    Recipe(
        name="imdb-500",
        summary="500 words in the Keras coding, embedding 32, LSTM 32",
        source=_KERAS_EXAMPLE,
        family="imdb",
        published={"accuracy": 0.86744, "loss": 0.3975},
        settings=ReviewSettings(
            tokeniser="keras",
            ranks="keras",
            vocabulary_size=10_000,
            length=500,
            embedding=32,
            units=32,
            optimiser="rmsprop",
            batch_size=128,
            epochs=10,
        ),
        fast=_LESS_OVERFITTING | {"mask_padding": True, "optimiser": "adam", "epochs": 2},
    ),
    Recipe(
        name="imdb-20",
        summary="20 words in the Keras coding, embedding 64, LSTM 64",
        source=_KERAS_EXAMPLE,
        family="imdb",
        published={"validation_accuracy": 0.7502},
        settings=ReviewSettings(
            tokeniser="keras",
            ranks="keras",
            vocabulary_size=10_000,
            length=20,
            embedding=64,
            units=64,
            batch_size=64,
            epochs=2,  # of 10: the source's figure is measured after the second epoch, and falls from then on
        ),
        fast=_LESS_OVERFITTING | {"embedding_dropout": 0.5, "output_dropout": 0.5, "batch_size": 128, "epochs": 3},
    ),
)

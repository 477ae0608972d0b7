"""The user's own labelled texts to their labels: the settings of this family, and its recipe."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from bundle.tasks import SENTIMENT, Task
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings, check_endings
from training.recipes.settings import RecipeSettings, Share, Units
from training.recipes.staged import NgramSettings, TuningSettings

FIRST = "sentiment"  # the bundle that a training on English texts begins with


class LabelledSettings(RecipeSettings):
    """How the user's texts are read, and a network trained on them: see `training.tasks.labelled`."""

    task: ClassVar[Task] = SENTIMENT

    text_column: str | None = Field(default=None, description="The column of the texts; by default by its usual names.")
    label_column: str | None = Field(default=None, description="The same of the labels.")
    group_column: str | None = Field(default=None, description="A column such as the author; no group is in two parts.")
    label_map: str | None = Field(default=None, description='Other labels, as in "1,2=negative;4,5=positive".')
    test_share: Share = Field(
        default=0.2, description="Share of the rows held out for the figures; 0 if they are of another file."
    )
    encoding: str | None = Field(default=None, description="Of text files; by default UTF-8, or by its mark.")
    skip_bad_rows: bool = Field(default=False, description="Rows that cannot be read are left out.")
    language: str | None = Field(default=None, description="Of the texts; by default guessed.")
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the training rows held out, to stop in time and to calibrate."
    )
    length: int = Field(
        default=400, ge=1, le=10_000, description="Words and marks that the network reads; of a longer text the last."
    )
    tokeniser: Literal["readable", "words", "keras"] = Field(
        default="readable",
        description="Without a first network: how texts are split. `keras` splits at spaces and ASCII marks only.",
    )
    vocabulary_size: int = Field(default=20_000, ge=5, description="Without a first network: the most ids.")
    endings: int = Field(
        default=400,
        ge=0,
        description="Of these, ids for words outside the vocabulary, by their ending (readable only).",
    )
    embedding: int = Field(
        default=64, ge=1, le=4096, description="Without a first network: components of a word's vector."
    )
    units: Units = Field(default=64, description="Without a first network: units of the LSTM of each direction.")
    small_rows: int = Field(
        default=2_000, ge=0, description="With fewer labelled training rows, embedding and units are halved."
    )
    new_words: int = Field(default=4_000, ge=0, description="With a first network: the most words added to its words.")
    least_count: int = Field(default=3, ge=1, description="A word is added if it occurs at least this often.")
    replay: int = Field(
        default=1_000,
        ge=0,
        description="With a first network of the same two labels: short texts of this project, which are learnt with "
        "its answers beside the rows, so that it keeps what it knew.",
    )
    patience: int = Field(default=2, ge=1, description="Stop after this many epochs without a smaller loss.")
    transfer: TuningSettings = Field(description="The training that begins with a first network.")
    scratch: TuningSettings = Field(description="The training that begins with random weights.")
    ngrams: NgramSettings = Field(
        default=NgramSettings(), description="Without a first network: the teacher, which learns n-grams."
    )
    least_taught: int = Field(
        default=2_000, ge=1, description="The teacher labels no fewer rows than this, with a label or without."
    )
    label_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of a given label; the teacher, which has not seen the text, has the rest. 1 leaves it out.",
    )
    seed: int = Field(
        default=1, ge=0, lt=2**32, description="Seed of the split, the data's order, the first weights and the dropout."
    )

    @model_validator(mode="after")
    def _words_are_left(self) -> Self:
        check_endings(self.endings, self.vocabulary_size)
        return self

    def make_network(self, tuning: TuningSettings, vocabulary_size: int, embedding: int, units: int) -> ReviewSettings:
        """Return the settings of a bidirectional network."""
        return ReviewSettings(
            tokeniser=self.tokeniser,
            vocabulary_size=vocabulary_size,
            length=self.length,
            embedding=embedding,
            units=units,
            bidirectional=True,
            pooling="mean-max",
            mask_padding=True,
            embedding_dropout=tuning.embedding_dropout,
            output_dropout=tuning.output_dropout,
            batch_size=tuning.batch_size,
            epochs=tuning.epochs,
            validation_share=self.validation_share,
            seed=self.seed,
        )


RECIPES = (
    Recipe(
        name="reviews",
        summary="your own labelled texts: begins with the published `sentiment` network if they are English",
        source="this project; training/labelled names the papers behind it",
        published={},
        settings=LabelledSettings(
            transfer=TuningSettings(
                epochs=12,
                batch_size=32,
                short_batch_size=32,
                learning_rate=3e-3,
                recurrent_rate=1,
                vector_rate=1,
                word_dropout=0.1,
                embedding_dropout=0.2,
                output_dropout=0.3,
                averaging=0.2,
            ),
            scratch=TuningSettings(
                epochs=6,
                batch_size=64,
                short_batch_size=128,
                learning_rate=3e-3,
                recurrent_rate=1,
                word_dropout=0.1,
                embedding_dropout=0.3,
                output_dropout=0.4,
                averaging=0.2,
            ),
        ),
    ),
)

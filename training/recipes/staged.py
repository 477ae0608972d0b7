"""Film reviews to their sentiment, trained in stages: the settings of this family, and its recipes."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, Field, model_validator

from bundle.tasks import SENTIMENT, Task
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings, check_endings
from training.recipes.settings import STRICT, RecipeSettings, Share, Units

_Settings = TypeVar("_Settings", bound=BaseModel)


class LanguageSettings(BaseModel):
    """A language model and its training; review networks start from its LSTMs and word vectors."""

    model_config = STRICT

    units: Units = Field(description="Units of the LSTM of each direction.")
    embedding: int = Field(ge=1, le=4096, description="Components of a word's vector.")
    passes: float = Field(gt=0, description="Passes over all reviews, labelled or not, that are not held out.")
    batch_size: int = Field(default=128, ge=1, description="Streams of reviews read in parallel.")
    steps: int = Field(
        default=70, ge=1, description="Words of a stream in one training step, the length of backpropagation."
    )
    sample: int = Field(default=1024, ge=1, description="Random words in the softmax, besides the right word.")
    learning_rate: float = Field(default=3e-3, gt=0, description="At the first step; it falls to zero as a cosine.")
    dropout: Share = Field(
        default=0.1, description="Share of the components of word vectors that is dropped, the same at all steps."
    )
    output_dropout: Share = Field(
        default=0, description="Share of the LSTM's outputs that is dropped, the same at all steps."
    )
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled to at most this L2 norm.")
    checkpoint_steps: int = Field(default=100, ge=1, description="Steps between two checkpoints.")


class NgramSettings(BaseModel):
    """Settings of a logistic regression of n-grams."""

    model_config = STRICT

    longest: int = Field(default=3, ge=1, le=5, description="Words in the longest n-gram.")
    fewest_reviews: int = Field(default=2, ge=1, description="An n-gram is used if at least this many reviews have it.")
    c: float = Field(default=1.0, gt=0, description="Inverse of the L2 regularisation.")


class TuningSettings(BaseModel):
    """Settings for training a bidirectional review network from a language model."""

    model_config = STRICT

    epochs: int = Field(ge=1, description="Passes over the training reviews.")
    length: int = Field(
        default=400, ge=1, le=10_000, description="Words and marks of a review in training; of a longer one the last."
    )
    batch_size: int = Field(default=64, ge=1, description="Reviews per step.")
    short_batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Most reviews per step if they are shorter than `length`; they have about as many words as the "
        "longest ones.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest rate; it falls to a tenth as a cosine.")
    warm_up: Share = Field(default=0.1, description="Share of the steps in which the rate rises from zero.")
    recurrent_rate: float = Field(
        default=0.5, gt=0, le=1, description="Factor of the rate for the LSTM, which is trained by the language model."
    )
    vector_rate: float = Field(default=1, gt=0, le=1, description="The same for the word vectors.")
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled to at most this L2 norm.")
    word_dropout: Share = Field(default=0.05, description="Share of words replaced by the unknown word.")
    embedding_dropout: Share = Field(
        default=0.3, description="Share of the components of word vectors that is dropped, the same at all steps."
    )
    output_dropout: Share = Field(default=0.3, description="Share of the classifier's input that is dropped.")
    averaging: Share = Field(
        default=0.1, description="Share of the steps over which the weights are averaged; the average is kept."
    )
    adversarial: Literal["none", "supervised", "virtual"] = Field(
        default="none",
        description="Adversarial training: the step goes away from the label, or from the network's own answer.",
    )
    epsilon: float = Field(default=5.0, gt=0, description="L2 length of the adversarial step over a whole review.")
    adversarial_weight: float = Field(default=1.0, gt=0, description="Weight of the adversarial loss.")
    checkpoint_steps: int = Field(default=400, ge=1, description="Steps between two checkpoints, about.")


RUNS = Path("runs")  # the folder of the stages' results
STAGES = ("corpus", "ngrams", "language", "teachers", "labels", "second_round", "student")


class RoundSettings(BaseModel):
    """A further round of labels, by a teacher that learnt from the labels of the previous round."""

    model_config = STRICT

    language: LanguageSettings = Field(description="The language model that this teacher starts from.")
    teacher: TuningSettings


class StagesSettings(RecipeSettings):
    """What the recipes in stages share: what is read of a review, and the reviews held out."""

    task: ClassVar[Task] = SENTIMENT

    vocabulary_size: int = Field(ge=5, description="Number of ids, including the reserved ids and the endings.")
    endings: int = Field(ge=0, description="Ids for words outside the vocabulary, by the longest known ending.")
    length: int = Field(
        ge=1, le=10_000, description="Words and marks read of a review in service; of a longer review the last ones."
    )
    validation_share: float = Field(
        gt=0, lt=1, description="Share of the labelled reviews held out, the last files of either label."
    )

    @property
    @abstractmethod
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in the order in which they are trained."""

    @model_validator(mode="after")
    def _words_are_left(self) -> Self:
        check_endings(self.endings, self.vocabulary_size)
        return self

    def _make_network(
        self, tokeniser: Literal["tokens", "readable"], embedding: int, units: int, tuning: TuningSettings
    ) -> ReviewSettings:
        """Return the settings of a bidirectional network of the recipe."""
        return ReviewSettings(
            tokeniser=tokeniser,
            vocabulary_size=self.vocabulary_size,
            endings=self.endings,
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
            validation="last",
            seed=self.seed,
        )


class StagedSettings(StagesSettings):
    """A sentiment network trained in stages: see `training.distillation.stages`."""

    ngrams: NgramSettings = NgramSettings()
    language: LanguageSettings = Field(description="The language model that teachers start from.")
    folds: int = Field(
        ge=2,
        le=20,
        description="Number of teachers and of n-gram models; each is trained without one part of the labelled "
        "reviews, and labels that part.",
    )
    teacher: TuningSettings
    label_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of a review's given label; the rest is the label by teachers that never saw it.",
    )
    second_round: RoundSettings | None = Field(
        default=None,
        description="A teacher that learns from the labels of all reviews. An unlabelled review then gets the mean, "
        "in logits, of this teacher's answer and of its first label.",
    )
    student_language: LanguageSettings | None = Field(
        default=None,
        description="A language model for a smaller student, over the principal components of the last teachers' "
        "vectors.",
    )
    student: TuningSettings
    seed: int = Field(
        default=7, ge=0, lt=2**32, description="Seed of the data's order, the first weights and the dropout."
    )

    @model_validator(mode="after")
    def _vectors_can_be_reduced(self) -> Self:
        name = "second_round.language" if self.second_round else "language"
        if self.student_language and self.student_language.embedding > self.last_language.embedding:
            raise ValueError(
                "the student's word vectors are made from the teachers' vectors; "
                f"student_language.embedding={self.student_language.embedding} can be at most "
                f"{name}.embedding={self.last_language.embedding}"
            )
        return self

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages: see `StagesSettings.stages`."""
        return tuple(name for name in STAGES if name != "second_round" or self.second_round)

    @property
    def last_language(self) -> LanguageSettings:
        """The language model of the last teachers."""
        return self.second_round.language if self.second_round else self.language

    @property
    def published(self) -> ReviewSettings:
        """The settings of the student's network."""
        return self.network(self.student_language or self.last_language, self.student)

    def network(self, language: LanguageSettings, tuning: TuningSettings) -> ReviewSettings:
        """Return the settings of a network that starts from a language model."""
        return self._make_network("tokens", language.embedding, language.units, tuning)


def _vary(settings: _Settings, **changes: object) -> _Settings:
    """Return settings with some changes, validated like a user's settings; `model_copy` would not validate them."""
    return type(settings).model_validate(settings.model_dump() | changes)


_SOURCE = "this project; training/distillation names the papers behind its stages"

# For a GPU, which runs these large batches as fast as smaller ones.
_LANGUAGE = LanguageSettings(
    units=1024,
    embedding=256,
    passes=10,
    batch_size=512,
    sample=2048,
    learning_rate=2e-3,
    dropout=0.25,
    output_dropout=0.25,
    checkpoint_steps=1084,  # two passes
)
_TEACHER = TuningSettings(
    epochs=6, batch_size=128, embedding_dropout=0.4, adversarial="supervised", epsilon=4, checkpoint_steps=135
)
_IN_STAGES = StagedSettings(
    vocabulary_size=24_000,
    endings=512,
    length=600,
    validation_share=0.1,
    language=_LANGUAGE,
    folds=4,
    teacher=_TEACHER,
    second_round=RoundSettings(
        language=_vary(_LANGUAGE, passes=14),
        teacher=_vary(_TEACHER, epochs=5, batch_size=256, checkpoint_steps=283),
    ),
    student_language=_vary(
        _LANGUAGE, units=96, embedding=128, passes=10, learning_rate=3e-3, dropout=0.1, output_dropout=0
    ),
    student=TuningSettings(
        epochs=6,
        length=600,
        batch_size=256,
        learning_rate=2e-3,
        embedding_dropout=0.15,
        output_dropout=0.2,
        checkpoint_steps=283,
    ),
)

RECIPES = (
    Recipe(
        name="sentiment",
        summary="600 words and marks, bidirectional LSTM, pooled; learns from teachers that read all reviews first",
        source=_SOURCE,
        published={},
        settings=_IN_STAGES,
    ),
    Recipe(
        name="sentiment-large",
        summary="the same with a student of 512 units",
        source=_SOURCE,
        published={},
        settings=_vary(
            _IN_STAGES,
            student_language=_vary(_LANGUAGE, units=512, passes=8),
            student=_vary(_TEACHER, epochs=4, batch_size=256, checkpoint_steps=283),
        ),
    ),
    Recipe(
        name="sentiment-night",
        summary="narrower teachers without adversarial training, for a night on two processor cores",
        source=_SOURCE,
        published={},
        settings=_vary(
            _IN_STAGES,
            language=LanguageSettings(units=512, embedding=256, passes=3, learning_rate=2e-3),
            folds=3,
            teacher=TuningSettings(epochs=4, embedding_dropout=0.4),
            second_round=None,
            student_language=LanguageSettings(units=96, embedding=128, passes=1),
            student=TuningSettings(epochs=4, length=600),
        ),
    ),
)

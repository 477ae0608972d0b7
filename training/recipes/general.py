"""Texts of every length and domain to their sentiment: the settings of this family, and its recipe."""

from pydantic import BaseModel, Field

from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.settings import STRICT, Share, Units
from training.recipes.staged import StagesSettings, TuningSettings


class TransformerSettings(BaseModel):
    """The training of the transformer that labels sentences."""

    model_config = STRICT

    passes: float = Field(gt=0, description="Passes over the judged texts.")
    batch_size: int = Field(default=64, ge=1, description="Texts per step.")
    learning_rate: float = Field(default=6e-5, gt=0, description="Highest rate; it falls to a fiftieth on a line.")
    head_rate: float = Field(default=1e-3, gt=0, description="The same for its last layer, which begins at random.")
    warm_up: Share = Field(default=0.05, description="Share of the steps in which the rate rises from zero.")
    clip_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled to at most this L2 norm.")
    checkpoint_steps: int = Field(default=200, ge=1, description="Steps between two checkpoints.")


class ShortTextSettings(BaseModel):
    """The short texts, and how often each occurs in a pass."""

    model_config = STRICT

    treebank_copies: int = Field(
        ge=0, description="Copies of a sentence of the treebank and of a text of your own; a phrase occurs once."
    )
    pair_copies: int = Field(ge=0, description="Copies of a text of the pairs.")
    composed: int = Field(ge=0, description="Pairs of composed sentences.")


class GeneralSettings(StagesSettings):
    """A review network that learns to judge texts of every length: see `training.general.stages`."""

    short_text_words: int = Field(
        ge=1,
        description="When the vocabulary is chosen, a word of a short text counts as this many words of reviews.",
    )
    embedding: int = Field(ge=1, le=4096, description="Components of a word's vector, as in the first network.")
    units: Units = Field(description="Units of the LSTM of each direction, as in the first network.")
    label_weight: float = Field(
        ge=0, le=1, description="Weight of a review's given label; the rest is the answer of the first network."
    )
    story_share: Share = Field(
        description="Share of the reviews that also occur with a story in, before or after them."
    )
    story_length: int = Field(ge=20, description="Words and marks of the longest such story.")
    pure_story_share: Share = Field(description="Number of stories without a review, for each review; labelled 0.5.")
    teaching: ShortTextSettings = Field(description="The short texts that the transformer learns from.")
    transformer: TransformerSettings
    sentences: int = Field(ge=1, description="Sentences of reviews that the transformer labels.")
    openings: int = Field(ge=0, description="Beginnings of reviews, of 15 to 50 words, that it labels too.")
    learning: ShortTextSettings = Field(description="The short texts that the network learns from, besides these.")
    sharpness: float = Field(
        gt=0,
        description="Factor of the logits of all short texts, which people and teachers judge with too little "
        "confidence.",
    )
    network: TuningSettings
    seed: int = Field(
        default=7, ge=0, lt=2**32, description="Seed of the data's order, the first weights and the dropout."
    )

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages: see `StagesSettings.stages`."""
        return "coded", "transformer", "network"

    @property
    def published(self) -> ReviewSettings:
        """The settings of the network."""
        return self._make_network("readable", self.embedding, self.units, self.network)


RECIPES = (
    Recipe(
        name="sentiment-general",
        summary="the network of `sentiment`, taught to judge phrases and sentences too, of films and of other things",
        source="this project; training/general names the papers behind its stages",
        published={},
        settings=GeneralSettings(
            vocabulary_size=24_000,
            endings=512,
            short_text_words=6,
            length=600,
            embedding=128,
            units=96,
            validation_share=0.1,
            label_weight=0.5,
            story_share=0.3,
            story_length=400,
            pure_story_share=0.03,
            teaching=ShortTextSettings(treebank_copies=3, pair_copies=6, composed=22_000),
            transformer=TransformerSettings(passes=1.2),
            sentences=240_000,
            openings=40_000,
            learning=ShortTextSettings(treebank_copies=2, pair_copies=6, composed=40_000),
            sharpness=2.2,
            seed=9,
            network=TuningSettings(
                epochs=3,
                length=600,
                batch_size=64,
                short_batch_size=256,
                learning_rate=8e-4,
                warm_up=0.03,
                recurrent_rate=1,
                vector_rate=0.25,
                word_dropout=0.03,
                embedding_dropout=0.15,
                output_dropout=0.2,
                checkpoint_steps=400,
            ),
        ),
    ),
)

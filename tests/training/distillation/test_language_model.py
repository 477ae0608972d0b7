import keras
import numpy as np
import pytest

from training.distillation.corpus import Corpus
from training.distillation.language_model import (
    LanguageBatches,
    LanguageModel,
    count_expected,
    count_steps,
    reduce_vectors,
)
from training.errors import RecipeError
from training.recipes.staged import LanguageSettings

SETTINGS = LanguageSettings(
    units=6, embedding=4, passes=2, batch_size=3, steps=4, sample=5, dropout=0, checkpoint_steps=6
)
WORDS = 20


@pytest.fixture
def corpus() -> Corpus:
    random = np.random.default_rng(7)
    return Corpus.of(np.r_[1, random.integers(4, WORDS, random.integers(2, 20))].astype(np.int32) for _ in range(30))


def count(corpus: Corpus) -> np.ndarray:
    return np.bincount(corpus.ids, minlength=WORDS)


def test_one_direction_reads_on_where_it_stopped_and_the_other_reads_backwards(corpus: Corpus) -> None:
    batches = LanguageBatches(corpus, SETTINGS, count(corpus), 7)
    read = [batches[k][0][0] for k in range(4)]
    for words, following in zip(read[:-1], read[1:], strict=True):
        assert words.shape == (2, 3, 5) and words.dtype == np.int32
        np.testing.assert_array_equal(words[:, :, -1], following[:, :, 0])
    forward = np.concatenate([words[0, :, :-1] for words in read], axis=1)
    backward = np.concatenate([words[1, :, :-1] for words in read], axis=1)
    whole = len(corpus.ids) // 3
    first = corpus.join(np.random.default_rng([7, 0]).permutation(len(corpus)))
    for row in range(3):
        stream = first[row * whole : (row + 1) * whole]
        assert forward[row].tolist() == stream[:16].tolist()
        assert backward[row].tolist() == stream[::-1][:16].tolist()


def test_every_pass_has_another_order_and_any_batch_can_be_made_alone(corpus: Corpus) -> None:
    batches, alone = (LanguageBatches(corpus, SETTINGS, count(corpus), 7) for _ in range(2))
    made: dict[tuple[int, int], tuple[tuple[np.ndarray, np.ndarray]]] = {}
    for epoch in range(batches.epochs):
        batches.epoch = epoch
        made |= {(epoch, k): batches[k] for k in range(len(batches))}
    alone.epoch = batches.epochs - 1
    for ours, theirs in zip(alone[5][0], made[alone.epoch, 5][0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    first, last = made[0, 0][0][0], [batch[0][0] for batch in made.values()]
    assert sum((words == first).all() for words in last) == 1


@pytest.mark.parametrize("passes", [0.5, 1, 2.5, 3])
@pytest.mark.parametrize("checkpoint_steps", [1, 7, 1000])
def test_as_many_passes_are_read_as_are_asked_for(corpus: Corpus, passes: float, checkpoint_steps: int) -> None:
    settings = SETTINGS.model_copy(update={"passes": passes, "checkpoint_steps": checkpoint_steps})
    batches = LanguageBatches(corpus, settings, count(corpus), 7)
    lengths = []
    for epoch in range(batches.epochs):
        batches.epoch = epoch
        lengths.append(len(batches))
    assert sum(lengths) == batches.steps == round(passes * count_steps(len(corpus.ids), settings))
    assert max(lengths) - min(lengths) <= 1 and max(lengths) < 2 * checkpoint_steps


def test_a_word_is_sampled_as_often_as_it_is_expected(corpus: Corpus) -> None:
    counts = count(corpus)
    expected = count_expected(counts, SETTINGS.sample)
    assert expected.sum() == pytest.approx(SETTINGS.sample)
    batches = LanguageBatches(corpus, SETTINGS, counts, 7)
    drawn = []
    for epoch in range(300):
        batches.epoch = epoch
        drawn += [batches[k][0][1] for k in range(len(batches))]
    found = np.bincount(np.concatenate(drawn), minlength=WORDS) / len(drawn)
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_the_loss_is_that_of_the_equations(corpus: Corpus) -> None:
    counts = count(corpus)
    model = LanguageModel(SETTINGS, counts, 7)
    words, sample = LanguageBatches(corpus, SETTINGS, counts, 7)[0][0]
    model((words, sample))  # makes its variables
    model._states.assign(np.zeros(model._states.shape))
    model._bias.assign(np.random.default_rng(7).normal(size=WORDS))
    weights = counts**0.75
    with np.errstate(divide="ignore", invalid="ignore"):  # of words that there never are
        chance, expected = np.log(counts / counts.sum()), np.log(SETTINGS.sample * weights / weights.sum())
        offset = model._bias.numpy() + chance - expected
    vectors, losses = model.embedding.embeddings.numpy(), []
    loss = float(model((words, sample)))
    for direction, (lstm, project) in enumerate(zip(model.lstms, model.projections, strict=True)):
        states = lstm(vectors[words[direction, :, :-1]])[0]
        guesses, targets = project(states).numpy().reshape(-1, 4), words[direction, :, 1:].ravel()
        for guess, target in zip(guesses, targets, strict=True):
            right = vectors[target] @ guess + offset[target]
            wrong = [vectors[word] @ guess + offset[word] for word in sample]
            losses.append(np.log(np.exp([right, *wrong]).sum()) - right)
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)


def test_a_word_is_expected_as_often_as_there_is_it_where_nothing_else_is_known() -> None:
    counts = np.array([0, 0, 0, 0, 160, 80, 40, 20])
    random = np.random.default_rng(7)
    targets = np.stack([random.permutation(np.repeat(np.arange(8), counts)).reshape(3, 100) for _ in range(2)])
    words = np.concatenate([targets[:, :, :1], targets], axis=2).astype(np.int32)
    settings = SETTINGS.model_copy(update={"sample": 8})
    model = LanguageModel(settings, counts, 7)
    chances = count_expected(counts, settings.sample) / settings.sample
    model((words, np.zeros(settings.sample, np.int32)))  # makes its variables
    for layer in (model.embedding, *model.lstms, *model.projections):
        layer.trainable = False
    for project in model.projections:
        project.set_weights([np.zeros_like(weight) for weight in project.get_weights()])
    model.compile(keras.optimizers.SGD(0.1), jit_compile=True)
    biases = []
    for _ in range(600):
        model.train_on_batch((words, random.choice(8, settings.sample, p=chances).astype(np.int32)))
        biases.append(model._bias.numpy()[4:])
    # The frequencies are in the logits from the start, so that there is nothing to learn.
    np.testing.assert_allclose(np.mean(biases[200:], axis=0), 0, atol=0.1)


def test_the_state_is_carried_from_batch_to_batch(corpus: Corpus) -> None:
    counts = count(corpus)
    model = LanguageModel(SETTINGS, counts, 7)
    batch = LanguageBatches(corpus, SETTINGS, counts, 7)[0][0]
    first, second = float(model(batch)), float(model(batch))
    assert first != second
    model._states.assign(np.zeros(model._states.shape))
    assert float(model(batch)) == first


def test_too_few_words_for_a_step_are_refused(corpus: Corpus) -> None:
    settings = SETTINGS.model_copy(update={"steps": len(corpus.ids) // SETTINGS.batch_size})
    with pytest.raises(RecipeError, match=r"\d+ words are too few for 3 streams of more than \d+; set a smaller lang"):
        LanguageBatches(corpus, settings, count(corpus), 7)


def test_the_next_word_is_learnt_where_it_follows_from_the_one_before() -> None:
    # After every word comes the one with the next number, in either direction the neighbour.
    corpus = Corpus.of(np.arange(30, dtype=np.int32) % 16 + 4 for _ in range(40))
    settings = SETTINGS.model_copy(update={"units": 16, "embedding": 8, "sample": 16})
    counts = count(corpus)
    keras.utils.set_random_seed(7)
    model = LanguageModel(settings, counts, 7)
    batches = LanguageBatches(corpus, settings, counts, 7)
    model(batches[0][0])
    model.compile(keras.optimizers.Adam(0.03), jit_compile=True)
    losses = []
    for epoch in range(30):
        batches.epoch = epoch
        losses.append(model.fit(batches, verbose=0, shuffle=False).history["loss"][0])
    assert losses[0] > 1.5
    assert losses[-1] < 0.7  # of which 0.56 is that the right word is in the sample too, once on average


def test_reduced_vectors_keep_what_frequent_words_differ_in() -> None:
    counts = np.array([90, 90, 10, 10])
    vectors = np.array([[3, 0, 5], [-3, 0, 5], [0, 8, 5], [0, -8, 5]], np.float32)
    (reduced,) = reduce_vectors(vectors, counts, 1).T
    np.testing.assert_allclose(np.abs(reduced), [3, 3, 0, 0], atol=1e-6)
    kept = reduce_vectors(vectors, counts, 2)
    assert kept.dtype == np.float32
    found, expected = (np.linalg.norm(each[:, None] - each[None], axis=-1) for each in (kept, vectors))
    np.testing.assert_allclose(found, expected, atol=1e-5)  # the third component is the same in all
    assert reduce_vectors(vectors, counts, 3) is vectors

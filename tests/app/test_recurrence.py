from collections.abc import Callable
from functools import partial

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from numpy.typing import NDArray

from app import recurrence
from app.recurrence import TrimmedLSTM, follows_length, rewrite

STEPS, WORDS = 12, 30
PADDING = np.zeros((1, STEPS), np.int32)

Build = Callable[[keras.KerasTensor], keras.KerasTensor]


def embed(ids: keras.KerasTensor, mask_zero: bool = False) -> keras.KerasTensor:
    return layers.Embedding(WORDS, 5, embeddings_initializer="normal", mask_zero=mask_zero)(ids)


def lstm(units: int = 4, **options: object) -> layers.LSTM:
    # Biases that are not zero, so that padding moves the state.
    return layers.LSTM(units, bias_initializer="normal", **options)


def pool(ids: keras.KerasTensor) -> keras.KerasTensor:
    mask = ops.not_equal(ids, 0)
    states = layers.Bidirectional(lstm(return_sequences=True))(embed(ids), mask=mask)
    present = ops.expand_dims(ops.cast(mask, "float32"), -1)
    return ops.sum(states * present, axis=1) + ops.max(states, axis=1)


def merge(mode: str, ids: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Bidirectional(lstm(), merge_mode=mode)(embed(ids, mask_zero=True))


TRIMMED: dict[str, tuple[Build, int]] = {
    "unmasked": (lambda ids: lstm()(embed(ids)), 1),
    "masked": (lambda ids: lstm()(embed(ids, mask_zero=True)), 1),
    "dropout between": (lambda ids: lstm()(layers.Dropout(0.5)(layers.SpatialDropout1D(0.5)(embed(ids)))), 1),
    "no bias": (lambda ids: layers.LSTM(4, use_bias=False)(embed(ids)), 1),
    "features between": (lambda ids: lstm()(layers.Dense(3, activation="tanh")(embed(ids))), 1),
    "mean of all steps": (lambda ids: ops.mean(lstm(return_sequences=True)(embed(ids)), axis=1), 1),
    "masked, all steps": (
        lambda ids: ops.mean(lstm(return_sequences=True)(embed(ids, mask_zero=True)), axis=1),
        1,
    ),
    "stacked": (lambda ids: lstm(3)(lstm(return_sequences=True)(embed(ids))), 2),
    "stacked, masked": (lambda ids: lstm(3)(lstm(return_sequences=True)(embed(ids, mask_zero=True))), 2),
    "bidirectional, unmasked": (lambda ids: layers.Bidirectional(lstm())(embed(ids)), 2),
    "bidirectional, masked": (lambda ids: layers.Bidirectional(lstm())(embed(ids, mask_zero=True)), 2),
    "bidirectional, pooled": (pool, 2),
    "bidirectional, then another": (
        lambda ids: lstm()(layers.Bidirectional(lstm(return_sequences=True))(embed(ids))),
        3,
    ),
    "masked bidirectional, then another": (
        lambda ids: lstm()(layers.Bidirectional(lstm(return_sequences=True))(embed(ids, mask_zero=True))),
        3,
    ),
    **{f"merged by {mode}": (partial(merge, mode), 2) for mode in ("sum", "mul", "ave", "concat")},
}
RUN_ON_PADDING = {"bidirectional, unmasked", "bidirectional, then another"}
LEFT_AS_THEY_ARE: dict[str, Build] = {
    "GRU": lambda ids: layers.GRU(4)(embed(ids, mask_zero=True)),
    "other activation": lambda ids: lstm(activation="relu")(embed(ids)),
    "bidirectional, other activation": lambda ids: layers.Bidirectional(lstm(activation="relu"))(embed(ids)),
    "backwards": lambda ids: lstm(go_backwards=True)(embed(ids)),
    "states returned": lambda ids: lstm(return_state=True)(embed(ids))[1],
    "initial state": lambda ids: lstm()(embed(ids), initial_state=[ops.ones((1, 4)), ops.ones((1, 4))]),
    "two networks": lambda ids: layers.Bidirectional(lstm(), merge_mode=None)(embed(ids))[0],
}


def network(build: Build) -> keras.Model:
    keras.utils.set_random_seed(0)
    ids = keras.Input((STEPS,), dtype="int32")
    return keras.Model(ids, build(ids))


def rows(lengths: list[int], seed: int = 0) -> NDArray[np.int32]:
    """Return random words in the last steps of each row, int32 [rows, STEPS]."""
    ids = np.random.default_rng(seed).integers(1, WORDS, (len(lengths), STEPS), np.int32)
    return np.where(np.arange(STEPS) >= STEPS - np.array(lengths)[:, np.newaxis], ids, 0)


def trimmed_layers(rewritten: keras.Model) -> list[TrimmedLSTM]:
    return [layer for layer in rewritten.layers if isinstance(layer, TrimmedLSTM)]


@pytest.mark.parametrize("kind", TRIMMED)
def test_the_answers_are_those_of_the_whole_length(kind: str) -> None:
    build, replaced = TRIMMED[kind]
    original = network(build)
    rewritten = rewrite(original, PADDING)
    assert len(trimmed_layers(rewritten)) == replaced
    assert follows_length(rewritten) == (kind not in RUN_ON_PADDING)
    for lengths in ([1], [1, 3, 2], [7, 7], [5, STEPS, 1], [0, 2], [STEPS]):
        ids = rows(lengths)
        np.testing.assert_allclose(rewritten(ids), original(ids), atol=1e-6)


@pytest.mark.parametrize("kind", LEFT_AS_THEY_ARE)
def test_other_layers_are_left_as_they_are(kind: str) -> None:
    original = network(LEFT_AS_THEY_ARE[kind])
    rewritten = rewrite(original, PADDING)
    assert not trimmed_layers(rewritten)
    assert not follows_length(rewritten)
    ids = rows([4])
    np.testing.assert_allclose(rewritten(ids), original(ids), atol=1e-6)


NETWORKS = [
    (original := network(TRIMMED[kind][0]), rewrite(original, PADDING))
    for kind in ("unmasked", "bidirectional, pooled")
]


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(0, STEPS), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_no_batch_of_unequal_lengths_changes_an_answer(lengths: list[int], seed: int) -> None:
    ids = rows(lengths, seed)
    for original, rewritten in NETWORKS:
        answers = rewritten(ids).numpy()
        np.testing.assert_allclose(answers, original(ids), atol=1e-5)
        for row, answer in zip(ids, answers, strict=True):
            np.testing.assert_allclose(rewritten(row[np.newaxis])[0], answer, atol=1e-6)


def test_only_the_steps_after_the_padding_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten = rewrite(network(TRIMMED["unmasked"][0]), PADDING)
    run = []
    project = TrimmedLSTM._project

    def count(layer: TrimmedLSTM, step: object) -> object:
        run.append(step)
        return project(layer, step)

    monkeypatch.setattr(TrimmedLSTM, "_project", count)
    rewritten(rows([2, 5, 1]))
    assert len(run) == 5


def test_a_network_of_features_instead_of_words_starts_after_its_padding_too() -> None:
    keras.utils.set_random_seed(0)
    steps = keras.Input((STEPS, 2))
    original = keras.Model(steps, lstm()(layers.Masking(0.5)(steps)))
    padding = np.full((1, STEPS, 2), 0.5, np.float32)
    features = np.random.default_rng(0).random((3, STEPS, 2), np.float32)
    features[:, :4] = 0.5
    rewritten = rewrite(original, padding)
    assert len(trimmed_layers(rewritten)) == 1
    np.testing.assert_allclose(rewritten(features), original(features), atol=1e-6)


def test_a_sequential_network_is_rewritten_too() -> None:
    keras.utils.set_random_seed(0)
    original = keras.Sequential([keras.Input((STEPS,), dtype="int32"), layers.Embedding(WORDS, 5), lstm()])
    rewritten = rewrite(original, PADDING)
    assert len(trimmed_layers(rewritten)) == 1
    np.testing.assert_allclose(rewritten(rows([3])), original(rows([3])), atol=1e-6)


def test_a_table_that_would_be_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    original = network(TRIMMED["unmasked"][0])
    monkeypatch.setattr(recurrence, "TABLE_BYTES", WORDS * 16 * 4 - 1)
    rewritten = rewrite(original, PADDING)
    np.testing.assert_allclose(rewritten(rows([3])), original(rows([3])), atol=1e-6)
    assert [tuple(layer.get_config()) for layer in rewritten.layers if isinstance(layer, layers.Embedding)]

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from app.engines.onnx import OnnxEngine
from bundle.errors import ManifestError
from bundle.manifest import Precision
from bundle.rows import Row
from bundle.store import Bundle, Store
from tests.app.engines.conftest import LoadOnnx
from tests.app.engines.exactness import check_exactness, lists_of_rows
from tests.bundle.samples import EXPORTED, publish, publish_changed, random_rows
from tests.conftest import SMALL_RECIPES, predict_with_keras
from training.export.builder import Builder

TOLERANCE = 1e-5
FORMS: list[tuple[str, Precision]] = [*((name, "float32") for name in sorted(SMALL_RECIPES)), ("sentiment", "int8")]


def rows_of_all_lengths(bundle: Bundle) -> list[Row]:
    return random_rows(bundle, range(bundle.codec.length + 1))


def test_every_form_of_every_small_bundle_is_tested(small_store: Store) -> None:
    manifests = [small_store.open(name).manifest for name in small_store.names()]
    assert {(each.name, form) for each in manifests if each.onnx for form in each.onnx.forms} == set(FORMS)


@pytest.mark.parametrize(("name", "precision"), FORMS)
@settings(deadline=None)
@given(data=st.data())
def test_a_row_has_the_same_answer_to_the_bit_in_every_batch(
    load_onnx: LoadOnnx, small_store: Store, name: str, precision: Precision, data: st.DataObject
) -> None:
    check_exactness(load_onnx(name, precision), data.draw(lists_of_rows(small_store.open(name))), data)


@pytest.mark.parametrize(("name", "precision"), FORMS)
def test_more_threads_change_no_answer(
    load_onnx: LoadOnnx, small_store: Store, name: str, precision: Precision
) -> None:
    bundle = small_store.open(name)
    rows = rows_of_all_lengths(bundle)
    expected = load_onnx(name, precision).run(rows)
    several = OnnxEngine(bundle, precision, threads=3)
    np.testing.assert_array_equal(several.run(rows), expected)
    np.testing.assert_array_equal(np.concatenate([several.run([row]) for row in rows]), expected)


@pytest.mark.parametrize(("name", "precision"), FORMS)
def test_batches_that_are_run_at_the_same_time_do_not_meet(
    load_onnx: LoadOnnx, small_store: Store, name: str, precision: Precision
) -> None:
    engine = load_onnx(name, precision)
    rows = rows_of_all_lengths(small_store.open(name))
    batches = [rows[at : at + size] for size in (1, 2, 5) for at in range(0, len(rows), size)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(engine.run, batches))
    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_array_equal(answer, engine.run(batch))


@pytest.mark.parametrize("name", sorted(SMALL_RECIPES))
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_answers_are_those_of_keras_on_the_full_length(
    load_onnx: LoadOnnx, small_store: Store, name: str, data: st.DataObject
) -> None:
    bundle = small_store.open(name)
    rows = data.draw(lists_of_rows(bundle))
    expected = predict_with_keras(bundle, rows)
    np.testing.assert_allclose(load_onnx(name, "float32").run(rows), expected, rtol=0, atol=TOLERANCE)


def test_a_form_of_8_bits_is_near_keras(load_onnx: LoadOnnx, small_store: Store) -> None:
    bundle = small_store.open("sentiment")
    rows = rows_of_all_lengths(bundle)[1:]
    difference = abs(load_onnx("sentiment", "int8").run(rows) - predict_with_keras(bundle, rows))
    assert TOLERANCE < difference.max() < 0.01


def test_by_default_it_is_the_form_that_the_manifest_names(load_onnx: LoadOnnx, small_store: Store) -> None:
    bundle = small_store.open("sentiment")
    rows = rows_of_all_lengths(bundle)[1:]
    answers = OnnxEngine(bundle).run(rows)
    np.testing.assert_array_equal(answers, load_onnx("sentiment", "int8").run(rows))
    assert not np.array_equal(answers, load_onnx("sentiment", "float32").run(rows))


@pytest.mark.parametrize(
    ("name", "expected"), [("sentiment", 2), ("imdb-500", 2), ("stacked", 2), ("alphabet-window", 3)]
)
def test_a_row_takes_its_own_steps_or_all(load_onnx: LoadOnnx, small_store: Store, name: str, expected: int) -> None:
    assert load_onnx(name, "float32").count_steps(random_rows(small_store.open(name), [2])[0]) == expected


def test_batches_are_as_large_as_the_manifest_says(load_onnx: LoadOnnx, small_store: Store) -> None:
    onnx = small_store.open("sentiment").manifest.onnx
    assert onnx
    assert load_onnx("sentiment", "int8").batch_rows == onnx.forms["int8"].batch_rows


def build(outputs: int, divisor: float = 1) -> bytes:
    """Return a graph that answers with the sum of the ids, divided, as often as there are to be outputs."""
    builder = Builder()
    numbers = builder.add("Cast", "ids", to=TensorProto.FLOAT)
    total = builder.add("ReduceSum", numbers, builder.integers(1), keepdims=1)
    share = builder.add("Div", total, builder.number(divisor, np.float32))
    builder.add("Concat", *[share] * outputs, axis=1, output="probabilities")
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT32, ["rows", "steps"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]),
    ]
    answers = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", outputs])
    graph: bytes = builder.build(inputs, [answers]).SerializeToString()
    return graph


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (build(outputs=2), r"answers with the shape \(1, 2\), its manifest says \(1, 1\)"),
        (build(outputs=1, divisor=0), "answers with NaN or infinity"),
    ],
)
def test_a_network_that_does_not_fit_its_manifest_is_refused(tmp_path: Path, graph: bytes, message: str) -> None:
    store = Store(tmp_path)
    bundle = publish_changed(store, publish(store, EXPORTED), {"model.onnx": graph})
    with pytest.raises(ManifestError, match=message):
        OnnxEngine(bundle, "float32")

import json
import shlex
from pathlib import Path

import pytest

from bundle.reviews import write_vocabulary
from bundle.store import MODEL_FILE, Store
from bundle.symbols import SymbolCodec
from tests.bundle.samples import EXPORTED, LETTERS, REVIEWS, publish
from training.reports.serving import describe_serving


@pytest.mark.parametrize(
    ("name", "path", "given"), [("stacked", "next-letter", "sequence"), ("imdb-500", "sentiment", "text")]
)
def test_the_request_is_that_of_the_task_and_names_the_model(
    small_store: Store, name: str, path: str, given: str
) -> None:
    text = describe_serving(small_store.open(name))
    assert "within a second, without a restart" in text
    *_, serving, asking = (shlex.split(line) for line in text.splitlines())
    assert serving == ["python", "-m", "app", "--models", str(small_store.root)]
    assert asking[:3] == ["curl", "-s", f"localhost:8000/{path}"]
    assert f'"{given}": ' in asking[-1] and f'"model": "{name}"' in asking[-1]
    assert Path(serving[-1]).is_dir()


def ask(text: str) -> dict[str, str]:
    """Return the fields of the request."""
    fields: dict[str, str] = json.loads(shlex.split(text.splitlines()[-1])[-1])
    return fields


def test_the_request_has_words_of_the_vocabulary_if_it_lacks_those_of_the_example(tmp_path: Path) -> None:
    words = ("!!", "хороший", "плохой", "фильм", "очень")
    preprocessing = REVIEWS.preprocessing.model_copy(update={"vocabulary_size": len(words) + 4})
    store = Store(tmp_path)
    with store.stage(REVIEWS.name) as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", words)
        bundle = store.publish(folder, REVIEWS.model_copy(update={"preprocessing": preprocessing}))
    assert ask(describe_serving(bundle))["text"] == "хороший плохой фильм"


def test_the_request_may_have_a_text_of_the_data(small_store: Store, tmp_path: Path) -> None:
    bundle = small_store.open("imdb-500")
    assert ask(describe_serving(bundle, "It isn't a film."))["text"] == "It isn't a film."
    preprocessing = REVIEWS.preprocessing.model_copy(update={"vocabulary_size": 6})
    store = Store(tmp_path)
    with store.stage(REVIEWS.name) as folder:
        (folder / MODEL_FILE).write_bytes(b"weights")
        write_vocabulary(folder / "vocabulary.txt", ("1", "!!"))
        bundle = store.publish(folder, REVIEWS.model_copy(update={"preprocessing": preprocessing}))
    assert ask(describe_serving(bundle, "unreadable"))["text"] == "1 !!"


def test_the_request_has_characters_of_the_alphabet(tmp_path: Path) -> None:
    codec = SymbolCodec(alphabet="αβγδ", length=2)
    bundle = publish(Store(tmp_path), LETTERS.model_copy(update={"preprocessing": codec, "labels": codec.labels}))
    assert ask(describe_serving(bundle))["sequence"] == "αβ"


def test_a_network_without_onnx_is_served_with_tensorflow(tmp_path: Path) -> None:
    for description, options in ((EXPORTED, ""), (REVIEWS, " --engine tensorflow")):
        text = describe_serving(publish(Store(tmp_path), description))
        assert f"  python -m app --models {tmp_path}{options}\n" in text

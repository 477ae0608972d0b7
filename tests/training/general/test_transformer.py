import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from training.data.sources import Sources
from training.errors import CheckpointError, DataError, DivergedError, MissingPackageError
from training.general.transformer import Transformer, hash_pretrained
from training.recipes.general import TransformerSettings

QUIET = Console(quiet=True)
TEXTS = [f"{word} film, {letter}" for word in ("wonderful", "dreadful") for letter in "abcdefgh"]
TARGETS = np.repeat(np.array([0.95, 0.05], np.float32), 8)
SETTINGS = TransformerSettings(passes=20, batch_size=4, learning_rate=0.01, head_rate=0.01, checkpoint_steps=20)


@pytest.fixture
def folder(sources: Sources) -> Path:
    pytest.importorskip("transformers")
    assert sources.transformer
    return sources.transformer


def test_it_learns_what_it_is_taught(folder: Path, tmp_path: Path) -> None:
    teacher = Transformer(folder, 7)
    before = teacher.answer(TEXTS)
    loss = teacher.fit(TEXTS, TARGETS, SETTINGS, 7, tmp_path / "checkpoint", QUIET)
    answers = teacher.answer(TEXTS)
    assert answers.dtype == np.float32
    assert np.all((answers > 0) == (TARGETS > 0.5))
    assert not np.all((before > 0) == (TARGETS > 0.5))
    assert loss < 0.4


def test_the_answer_to_a_text_does_not_depend_on_the_texts_beside_it(folder: Path) -> None:
    teacher = Transformer(folder, 7)
    texts = ["wonderful", "a dreadful film, " * 5, "film"]
    together = teacher.answer(texts)
    alone = np.concatenate([teacher.answer([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=0.02)  # of bfloat16


def test_a_stopped_training_continues_with_the_same_result(folder: Path, tmp_path: Path) -> None:
    whole = Transformer(folder, 7)
    whole.fit(TEXTS, TARGETS, SETTINGS, 7, tmp_path / "whole", QUIET)

    class Stopped(Console):
        def print(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Transformer(folder, 7).fit(TEXTS, TARGETS, SETTINGS, 7, tmp_path / "stopped", Stopped(quiet=True))
    again = Transformer(folder, 7)
    again.fit(TEXTS, TARGETS, SETTINGS, 7, tmp_path / "stopped", QUIET)
    np.testing.assert_array_equal(again.answer(TEXTS), whole.answer(TEXTS))


def test_a_checkpoint_of_another_training_is_refused(folder: Path, tmp_path: Path) -> None:
    Transformer(folder, 7).fit(TEXTS, TARGETS, SETTINGS, 7, tmp_path / "checkpoint", QUIET)
    longer = SETTINGS.model_copy(update={"passes": 21})
    with pytest.raises(CheckpointError, match="belongs to another training; remove it"):
        Transformer(folder, 7).fit(TEXTS, TARGETS, longer, 7, tmp_path / "checkpoint", QUIET)


def test_a_training_that_diverges_is_ended(folder: Path, tmp_path: Path) -> None:
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30, "head_rate": 1e30})
    with pytest.raises(DivergedError, match="set a smaller learning_rate"):
        Transformer(folder, 7).fit(TEXTS, TARGETS, wild, 7, tmp_path / "checkpoint", QUIET)
    assert not (tmp_path / "checkpoint").exists()


def test_a_folder_without_a_transformer_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(DataError, match="has no pretrained transformer .*takes a folder with config.json"):
        Transformer(tmp_path, 7)
    with pytest.raises(DataError, match="has no pretrained transformer"):
        hash_pretrained(tmp_path)


def test_the_hash_is_of_the_files(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert hash_pretrained(tmp_path) == hash_pretrained(folder)
    (tmp_path / "config.json").write_text("{}")
    assert hash_pretrained(tmp_path) != hash_pretrained(folder)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "torch", importlib.import_module("types"))
    with pytest.raises(MissingPackageError, match="transformers is not installed, .*run `make torch`"):
        Transformer(tmp_path, 7)

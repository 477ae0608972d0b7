import json
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.conftest import SMALL_TUNING
from training.data.sources import Sources

SMALL_GENERAL = [
    "endings=8",
    "length=40",
    "validation_share=0.25",
    "story_length=20",
    "sentences=10",
    "openings=3",
    "transformer.passes=1",
    "transformer.batch_size=256",  # there are thousands of ratings
    "transformer.checkpoint_steps=8",
    *(f"{texts}.{setting}" for texts in ("teaching", "learning") for setting in ("composed=4", "pair_copies=2")),
    *(f"network.{setting}" for setting in (*SMALL_TUNING, "length=40", "short_batch_size=256")),
]
TRAIN = """\
(4 (2 A) (4 (4 wonderful) (2 film)))
(0 (2 A) (0 (0 dreadful) (2 film)))
(3 (2 It) (3 (2 is) (3 (2 not) (1 bad))))
(1 (2 It) (1 (2 is) (1 (2 not) (3 good))))
(2 (2 It) (2 (2 is) (2 (2 a) (2 film))))
"""
STORY = "A nurse comes home and finds the door open. Her brother leaves the house that evening and is not seen again."
DEVELOPMENT = "(4 (4 Wonderful) (2 .))\n(0 (0 Dreadful) (2 .))\n(2 (2 A) (2 film))\n"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Sources:
    """Small data of every kind, and a transformer with random weights that knows letters and a few words."""
    folder = tmp_path_factory.mktemp("sources")
    return Sources(
        add_story(reviews, folder / "reviews"),
        write_treebank(folder / "trees.zip"),
        write_pairs(folder),
        write_transformer(folder / "transformer"),
    )


def add_story(reviews: Path, to: Path) -> Path:
    """Copy a dataset, and add a review that tells a story and judges nothing."""
    shutil.copytree(reviews, to)
    (to / "train" / "unsup" / "99_0.txt").write_text(STORY, "utf-8")
    return to


def write_treebank(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("trees/train.txt", TRAIN)
        archive.writestr("trees/dev.txt", DEVELOPMENT)
    return path


def write_pairs(folder: Path) -> Path:
    group = {"kind": "negation", "domain": "film"}
    for author in ("01", "31", "34"):
        texts = {"positive": f"No flaw, {author}.", "negative": f"No merit, {author}."}
        (folder / f"author-{author}.jsonl").write_text(json.dumps(group | texts) + "\n", "utf-8")
    return folder


def write_transformer(place: Path) -> Path:
    """Write one with the package `transformers`, if that is installed."""
    try:
        import transformers
    except ModuleNotFoundError:
        return place
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.,!", "wonderful", "dreadful"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    place.mkdir()
    vocabulary = place / "vocab.txt"
    vocabulary.write_text("\n".join(words), "utf-8")
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(place)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(place)
    return place

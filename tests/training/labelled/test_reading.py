from pathlib import Path

import pytest

from tests.training.films import find_settings
from training import recipes
from training.data.labelled.source import Columns
from training.data.sources import Sources
from training.errors import DataError, RecipeError
from training.labelled.reading import make_options, read_texts


def test_settings_say_how_the_data_are_read() -> None:
    settings = find_settings("text_column=Remark", "group_column=Author", "label_map=1=a;2=b", "skip_bad_rows=true")
    options = make_options(settings, Path("test.csv"))
    assert options.columns == Columns("Remark", None, "Author")
    assert (options.test, options.label_map, options.skip_bad_rows) == (Path("test.csv"), "1=a;2=b", True)
    assert make_options(find_settings("test_share=0.3"), None).test_share == 0.3
    assert make_options(find_settings("test_share=0"), None).test_share == 0.2  # of a layout with a test part: unused


def test_a_network_is_bidirectional_and_pooled() -> None:
    settings = find_settings("seed=3")
    network = settings.make_network(settings.scratch, 50, 8, 6)
    assert (network.vocabulary_size, network.embedding, network.units, network.seed) == (50, 8, 6, 3)
    assert network.bidirectional and network.pooling == "mean-max"


def test_settings_that_leave_no_words_are_refused() -> None:
    with pytest.raises(RecipeError, match="at most 5 can be endings"):
        recipes.find("reviews").with_settings(["vocabulary_size=10", "endings=6"])


def test_data_must_be_named() -> None:
    with pytest.raises(DataError, match="name their file or folder: --data FILE"):
        read_texts(find_settings(), Sources())

"""The user's labelled texts, read as the settings of a training say."""

from pathlib import Path

from training.data.labelled.reading import DataOptions, read
from training.data.labelled.source import Columns
from training.data.labelled.texts import LabelledTexts
from training.data.sources import Sources
from training.errors import DataError, RecipeError
from training.recipes.labelled import LabelledSettings


def make_options(settings: LabelledSettings, test: Path | None) -> DataOptions:
    """Return how the data are read; `test` is the file of the test texts, if they are not a part of the data."""
    columns = Columns(settings.text_column, settings.label_column, settings.group_column)
    share = settings.test_share or DataOptions.test_share
    return DataOptions(columns, test, share, settings.label_map, settings.encoding, settings.skip_bad_rows)


def check_options(settings: LabelledSettings, test: Path | None) -> None:
    """Check what can be checked without the data; `test` is the file of the test texts.

    Raises:
        DataError: see `DataOptions.check`.
        RecipeError: the share of the test is not 0 although the test texts have a file of their own, or the reverse.
    """
    if (test is None) == (settings.test_share == 0):
        raise RecipeError("test_share is 0 if the test texts are in a file of their own (--test FILE), and only then")
    make_options(settings, test).check()


def read_texts(settings: LabelledSettings, sources: Sources) -> LabelledTexts:
    """Read the data of a training.

    Raises:
        DataError: the data cannot be used.
        RecipeError: see `check_options`.
    """
    if sources.reviews is None:
        raise DataError("reviews learns from your own labelled texts; name their file or folder: --data FILE")
    check_options(settings, sources.options.test)
    return read(sources.reviews, make_options(settings, sources.options.test), settings.seed)

"""What the user's data are: for the manifest as JSON, and for the console as a table."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bundle.manifest import Dataset, DatasetFile, DatasetLabel

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_SPLITS = {
    "file": "test texts from a file of their own",
    "layout": "the test texts of the dataset",
    "random": "{share:.0%} of each label held out for the test, seed {seed}",
    "groups": "{share:.0%} of each label held out for the test as far as groups allow, seed {seed}; no group in both",
}


class FileDescription(BaseModel):
    """A file or folder of texts."""

    model_config = _FROZEN

    name: str
    format: str
    encoding: str | None = Field(description="None if the format has one of its own.")
    sha256: str = Field(description="Of the file as it is, or over the names and contents of a folder's files.")
    bytes: int
    rows: int = Field(description="All rows, those that are left out too.")
    columns: dict[str, str] = Field(description="The column of `text`, `label` and `group`, as far as there are.")


class LabelDescription(BaseModel):
    """The rows of one label."""

    model_config = _FROZEN

    label: str
    train: int
    test: int


class SplitDescription(BaseModel):
    """How the test rows were chosen."""

    model_config = _FROZEN

    kind: Literal["file", "layout", "random", "groups"]
    share: float | None = None
    seed: int | None = None

    def __str__(self) -> str:
        """Return it as a sentence."""
        return _SPLITS[self.kind].format(share=self.share, seed=self.seed)


class OddRows(BaseModel):
    """Counts of what is odd; rows of both files."""

    model_config = _FROZEN

    bad: int = Field(description="Left out: they could not be read.")
    empty: int = Field(description="Left out: they have no text.")
    dropped_labels: dict[str, int] = Field(description="Left out: rows by label that the label map does not name.")
    missing_labels: dict[str, int] = Field(description="Unlabelled: rows by label that is a word such as NaN.")
    test_without_label: int = Field(description="Left out: test rows without a label.")
    in_both_parts: int = Field(description="Left out of training: their texts are test texts too.")
    duplicates: int = Field(description="Rows whose text an earlier row of the same part has.")
    contradictions: int = Field(description="Texts that have several labels.")
    without_group: int = Field(description="Rows without a group, each of which is a group by its text.")


class DataDescription(BaseModel):
    """The data that a network is trained and tested on."""

    model_config = _FROZEN

    name: str
    data: FileDescription
    test: FileDescription | None = Field(description="None if the test rows are a part of the data.")
    labels: tuple[LabelDescription, ...]
    unlabelled: int = Field(description="Training rows without a label.")
    mean_characters: float = Field(description="Of the texts.")
    split: SplitDescription
    script: str = Field(description='Of most letters, as in "Latin"; "mixed" or "unknown".')
    language: str = Field(description='"English" or "unknown".')
    odd: OddRows
    notes: tuple[str, ...] = Field(description="Sentences about what is odd.")

    @property
    def train_rows(self) -> int:
        """Labelled rows to train on."""
        return sum(label.train for label in self.labels)

    @property
    def test_rows(self) -> int:
        """Labelled rows to test with."""
        return sum(label.test for label in self.labels)


def render(description: DataDescription) -> Group:
    """Return the description for a console."""
    facts = Table.grid(padding=(0, 2))
    for file, heading in ((description.data, "data"), (description.test, "test data")):
        if file:
            _add_file(facts, heading, file)
    facts.add_row("language", f"{description.language}, {description.script} script")
    facts.add_row("split", str(description.split))
    facts.add_row("unlabelled", f"{description.unlabelled:,}")
    labels = Table("label")
    for heading in ("train", "test"):
        labels.add_column(heading, justify="right")
    for label in description.labels:
        labels.add_row(Text(label.label), f"{label.train:,}", f"{label.test:,}")
    labels.add_section()
    labels.add_row("all", f"{description.train_rows:,}", f"{description.test_rows:,}")
    return Group(facts, labels, *(Text(f"- {note}") for note in description.notes))


def describe_dataset(
    description: DataDescription, language: str | None, training: int, validation: int, test: int
) -> Dataset:
    """Return the manifest's description of the data; the SHA-256 is that of the file with the test texts.

    The numbers are those of the examples; `language` is what the user said of it.
    """
    files = [file for file in (description.data, description.test) if file]
    return Dataset(
        name=description.name + (f", tested on {description.test.name}" if description.test else ""),
        sha256=files[-1].sha256,
        training_examples=training,
        test_examples=test,
        files=tuple(DatasetFile(**file.model_dump(include={*DatasetFile.model_fields})) for file in files),
        language=language or description.language,
        script=description.script,
        labels=tuple(DatasetLabel(**label.model_dump()) for label in description.labels),
        unlabelled=description.unlabelled,
        split=str(description.split),
        held_out=validation,
    )


def _add_file(facts: Table, heading: str, file: FileDescription) -> None:
    encoding = f", {file.encoding.upper()}" if file.encoding else ""
    facts.add_row(heading, Text(f"{file.name}: {file.format}{encoding}"))
    facts.add_row("", f"{file.rows:,} rows, {file.bytes:,} bytes")
    facts.add_row("SHA-256", file.sha256)
    if file.columns:
        facts.add_row("columns", Text(", ".join(f"{use}: {column}" for use, column in file.columns.items())))

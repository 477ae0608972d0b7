"""From a user's file or folder to labelled texts: read, checked, split and described."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tables.encodings import check_encoding, guess_garbled
from training.data.labelled.checks import check_labels, check_parts, count_repeated, find_contradictions, list_notes
from training.data.labelled.description import (
    DataDescription,
    FileDescription,
    LabelDescription,
    OddRows,
    SplitDescription,
)
from training.data.labelled.formats import open_source
from training.data.labelled.labels import LabelMap, order_labels, parse_label_map
from training.data.labelled.languages import guess_language, guess_script, is_without_spaces
from training.data.labelled.scan import Scan, scan
from training.data.labelled.source import Columns, Source
from training.data.labelled.splits import choose_part
from training.data.labelled.tabular import clear_errors
from training.data.labelled.texts import UNLABELLED, LabelledTexts, Texts
from training.errors import DataError

_NO_SPACES = (
    "{script} script has no spaces between words, and a run of letters is read as one word: put spaces between the "
    "words first, in these texts and in those that the service is asked about"
)

_GARBLED = (
    "most letters of the texts have accents, so the encoding is probably another one: in {name} they are {reading!r}; "
    "if that is right, name it with --encoding {name}"
)
_JUDGED = 10_000  # characters
_SHOWN = 40


@dataclass(frozen=True)
class DataOptions:
    """How a user's data are read.

    Attributes:
        columns: the columns that the user named.
        test: a file or folder of test texts; by default a part of the data.
        test_share: the share of that part.
        label_map: see `parse_label_map`.
        encoding: of text files; by default found by a byte order mark, else UTF-8.
        skip_bad_rows: whether rows that cannot be read are left out.
    """

    columns: Columns = Columns()
    test: Path | None = None
    test_share: float = 0.2
    label_map: str | None = None
    encoding: str | None = None
    skip_bad_rows: bool = False

    def check(self) -> None:
        """Check what can be checked without the data.

        Raises:
            DataError: the share, the map or the encoding cannot be.
        """
        if not 0 < self.test_share < 1:
            raise DataError(f"a test share of {self.test_share:g} is not between 0 and 1; choose one such as 0.2")
        self.parse_label_map()
        if self.encoding is not None:
            with clear_errors():
                check_encoding(self.encoding)

    def parse_label_map(self) -> LabelMap | None:
        """Return the map of the labels, if there is one: see `parse_label_map`."""
        return None if self.label_map is None else parse_label_map(self.label_map)


def read(path: Path, options: DataOptions, seed: int) -> LabelledTexts:
    """Read and check a user's data, and split them.

    The source is read once from end to end; the texts are read from it again when they are used.

    Args:
        path: a file or folder: see `open_source`.
        options: how to read it.
        seed: random seed of the split.

    Raises:
        DataError: the data or the options cannot be used; the message says why.
    """
    options.check()
    label_map = options.parse_label_map()
    source = open_source(path, options.columns, options.encoding)
    test_source = _open_test(source, options)
    found = scan(source, label_map, options.skip_bad_rows)
    test_found = scan(test_source, label_map, options.skip_bad_rows) if test_source else None
    counts = found.counts + test_found.counts if test_found else found.counts

    labels = order_labels(found.names, label_map)
    rows = _take_rows(found, labels)
    labelled, unlabelled = _part(rows)
    check_labels(labelled, labels, counts, label_map)

    test_unlabelled = 0
    if test_found:
        train, (test, without) = labelled, _part(_take_rows(test_found, labels))
        test_unlabelled = len(without)
        split = SplitDescription(kind="file" if options.test else "layout")
    else:
        chosen = choose_part(labelled.units, labelled.labels, options.test_share, seed)
        train, test = labelled.take(~chosen), labelled.take(chosen)
        kind = "random" if source.columns.group is None else "groups"
        split = SplitDescription(kind=kind, share=options.test_share, seed=seed)
    contradictions, named = find_contradictions([train, test], labels)
    kept, unlabelled_kept = (part.take(~np.isin(part.hashes, test.hashes)) for part in (train, unlabelled))
    if options.test and len(train) and not len(kept):
        raise DataError(
            f"{options.test} has all training texts of {path}, so none is left to learn from; name a file of other "
            "texts, or leave --test out"
        )
    check_parts(kept, test, labels)

    odd = OddRows(
        bad=counts.bad,
        empty=counts.empty,
        dropped_labels=dict(counts.dropped.most_common()),
        missing_labels=dict(counts.missing.most_common()),
        test_without_label=test_unlabelled,
        in_both_parts=len(train) - len(kept) + len(unlabelled) - len(unlabelled_kept),
        duplicates=sum(count_repeated(each.texts) for each in (found, test_found) if each),
        contradictions=contradictions,
        without_group=counts.without_group,
    )
    described = tuple(
        LabelDescription(label=label, train=trained, test=tested)
        for label, trained, tested in zip(labels, kept.count(len(labels)), test.count(len(labels)), strict=True)
    )
    script = guess_script(found.sample)
    notes = [*source.notes, *list_notes(odd, counts, described, named, split, label_map)]
    if is_without_spaces(script):
        notes.append(_NO_SPACES.format(script=script))
    if garbled := guess_garbled(" ".join(found.sample)[:_JUDGED]):
        name, reading = garbled
        notes.append(_GARBLED.format(name=name, reading=reading[:_SHOWN]))
    description = DataDescription(
        name=source.name,
        data=_describe(source, found),
        test=_describe(test_source, test_found) if options.test and test_source and test_found else None,
        labels=described,
        unlabelled=len(unlabelled_kept),
        mean_characters=found.counts.characters / len(found.positions),
        split=split,
        script=script,
        language=guess_language(found.sample),
        odd=odd,
        notes=tuple(notes),
    )
    return LabelledTexts(kept, test, unlabelled_kept, labels, description)


def read_labelled(path: Path, options: DataOptions, labels: tuple[str, ...]) -> Texts:
    """Read all labelled rows of a file or folder, as `read` reads test texts of their own.

    Raises:
        DataError: the data or the options cannot be used, or have other labels.
        MissingPackageError: the format needs a package that is not installed.
    """
    source = open_source(path, options.columns, options.encoding)
    found = scan(source, options.parse_label_map(), options.skip_bad_rows)
    labelled, _ = _part(_take_rows(found, labels))
    if not len(labelled):
        raise DataError(f"{path} has no labelled rows")
    return labelled


def _open_test(source: Source, options: DataOptions) -> Source | None:
    """Open the test texts; their columns have the same names as those of the data.

    Raises:
        DataError: see `open_source`; also if the data have test texts of their own, and others are named.
    """
    own = source.test
    if options.test is None:
        return own
    if own:
        raise DataError(f"{source.path} has test texts of its own; leave --test out")
    columns = Columns() if options.test.is_dir() else Columns(source.columns.text, source.columns.label)
    return open_source(options.test, columns, options.encoding)


def _take_rows(found: Scan, labels: tuple[str, ...]) -> Texts:
    """Return all rows of a scan, with their labels as indices of `labels`.

    Raises:
        DataError: a label is not among them.
    """
    if unknown := [name for name in found.names if name not in labels]:
        raise DataError(
            f"{found.source.path} has the label {', '.join(map(repr, unknown))}, which no training row has; "
            f"the labels are {', '.join(map(repr, labels))}"
        )
    codes = np.array([*map(labels.index, found.names), UNLABELLED], np.int32)  # the last for the index -1
    units = found.texts if found.groups is None else found.groups
    return Texts(found.source, found.positions, codes[found.labels], found.texts, units)


def _part(rows: Texts) -> tuple[Texts, Texts]:
    """Return the rows with a label, and those without."""
    labelled = rows.labels != UNLABELLED
    return rows.take(labelled), rows.take(~labelled)


def _describe(source: Source, found: Scan) -> FileDescription:
    columns = {"text": source.columns.text, "label": source.columns.label, "group": source.columns.group}
    return FileDescription(
        name=source.name,
        format=source.format,
        encoding=source.encoding,
        sha256=source.hash(),
        bytes=source.count_bytes(),
        rows=found.counts.rows,
        columns={use: column for use, column in columns.items() if column is not None},
    )

"""A folder of files as one job: which number each file has, which parts are done, and what is left. Needs pyarrow.

What can be wrong is found before a cluster has work, and the input is looked at again at the end.
"""

from collections.abc import Container, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from app.errors import ScoringError
from app.scoring.journal import check_identity
from app.scoring.parts import Counts, Plan, Written, find_file_number, find_parts, open_file
from app.scoring.scorer import Model
from app.scoring.sinks import explain_errors
from bundle.errors import explain
from tables.errors import TableError
from tables.storage import Storage, Stored

JOURNAL = "_scoring.json"
OWNER = "_bad_rows_of"  # in the folder of the bad rows: the place of the output

_BAD_ROWS = "folder of the bad rows"
_THREADS = 16  # which open files, and mostly wait for storage
_LISTED = 3  # of many files, in a message


class Journal(BaseModel):
    """What the output depends on.

    Attributes:
        identity: the input, the model and the options.
        files: each at the place of its number, also those that have changed since or are gone. So the number of a file
            never means another one.
    """

    model_config = ConfigDict(extra="forbid")

    identity: dict[str, JsonValue]
    files: list[Stored]


class Remaining(NamedTuple):
    """A file that is not done: its number, and the numbers of its parts that are done."""

    number: int
    stored: Stored
    done: Set[int]


@dataclass(frozen=True)
class Progress:
    """How far a job is when a run begins.

    Attributes:
        files: of the input, by number.
        remaining: those that are not done.
        counts: rows of the parts that are done.
        removed: the files whose parts were removed, because they have changed or are gone.
    """

    files: Mapping[int, Stored]
    remaining: Sequence[Remaining]
    counts: Counts
    removed: Sequence[str]


def list_files(source: str) -> list[Stored]:
    """Return the files of a place that are not empty.

    Raises:
        ScoringError: there are none.
        TableError: they cannot be listed.
    """
    storage = Storage(source)
    files = _list_filled(storage)
    if not files:
        raise ScoringError(f"there are no files in {storage.name}; name a file, or a folder with files")
    return files


def begin(plan: Plan, model: Model, files: Sequence[Stored]) -> Progress:
    """Begin a job, or go on with it, and return how far it is.

    A file that is not as a run before has seen it gets a new number, and what was written of it is removed.

    Args:
        plan: of the job.
        model: that answers.
        files: of the input: see `list_files`.

    Raises:
        ScoringError: a place cannot be used, a file cannot be scored, or the output belongs to another job.
        TableError: a place cannot be read.
    """
    _check_places(plan)
    output, aside = Storage(plan.output), Storage(plan.bad_rows) if plan.bad_rows else None
    names = [stored.name for stored in output.list()]
    before = _read_journal(plan, output, is_new=not names)
    if aside:
        _check_owner(output, aside)
    journal = Journal(identity=_identify(plan, model, before), files=before.files if before else [])
    journal.files.extend(sorted({*files} - {*journal.files}))
    current = {*files}
    numbered = {number: stored for number, stored in enumerate(journal.files) if stored in current}
    parts = find_parts(names)
    remaining = _find_remaining(numbered, parts)
    _check_files(plan, [one.stored for one in remaining])
    _prepare(output, JOURNAL, journal.model_dump_json())
    if aside:
        _prepare(aside, OWNER, output.name)
    if len(numbered) < len(journal.files):
        for place in filter(None, (output, aside)):
            _remove_others(place, numbered)
    removed = {journal.files[part.file].name for part in parts if part.file not in numbered}
    return Progress(numbered, remaining, _count(parts, numbered), sorted(map(Storage(plan.source).show, removed)))


def finish(plan: Plan, progress: Progress) -> Counts:
    """Check that every part is there and that the input is as it was, and return the rows.

    Raises:
        ScoringError: it is not so.
        TableError: a place cannot be read.
    """
    source, output = Storage(plan.source), Storage(plan.output)
    if changed := {*_list_filled(source)} ^ {*progress.files.values()}:
        names = sorted({source.show(stored.name) for stored in changed})
        raise ScoringError(
            f"the input changed while the job ran: {show_files(names)}; run the same command again to go on"
        )
    parts = find_parts([stored.name for stored in output.list()])
    if missing := _find_remaining(progress.files, parts):
        raise ScoringError(
            f"parts of {len(missing):,} files are missing in {output.name}; run the same command again to go on. If it "
            "does not help, this is no place that every node sees: name another one"
        )
    return _count(parts, progress.files)


def show_files(names: Sequence[str]) -> str:
    """Return the names of files for a message, of many only the first ones."""
    more = len(names) - _LISTED
    return f"{', '.join(names[:_LISTED])}{f' and {more:,} more' if more > 0 else ''}"


def _list_filled(source: Storage) -> list[Stored]:
    return [stored for stored in source.list() if stored.size]


def _check_places(plan: Plan) -> None:
    """Check that nothing would be written among the files to read, and no bad rows among the scored ones.

    Raises:
        ScoringError: it would.
    """
    source, output = Storage(plan.source), Storage(plan.output)
    places = [output, *map(Storage, filter(None, [plan.bad_rows]))]
    for place in places:
        if source.contains(place):
            raise ScoringError(f"{place.name} is in {source.name}, whose files are the input; name another folder")
    if places[1:] and places[1].contains(output):
        raise ScoringError(f"{output.name} is in {places[1].name}, the folder of the bad rows; name another folder")


def _read_journal(plan: Plan, output: Storage, is_new: bool) -> Journal | None:
    """Return what a run before has noted; None if the output is new.

    Raises:
        ScoringError: it cannot be read, or the output has other files.
    """
    found = output.read(JOURNAL)
    if found is None:
        if is_new:
            return None
        raise ScoringError(f"{output.name} has other files already; name another folder")
    try:
        return Journal.model_validate_json(found)
    except ValidationError as error:
        raise ScoringError(f"{output.show(JOURNAL)} cannot be read ({explain(error)}); {_advise(plan)}") from error


def _check_owner(output: Storage, aside: Storage) -> None:
    """Check that the folder of the bad rows is that of this job, or new.

    Raises:
        ScoringError: it is neither.
    """
    owner = aside.read(OWNER)
    if owner is None and aside.list():
        raise ScoringError(f"{aside.name} has other files already; name another folder with --bad-rows")
    if owner is not None and owner != output.name.encode():
        raise ScoringError(
            f"{aside.name} has the bad rows of {owner.decode('utf-8', 'replace')}; name another folder with --bad-rows"
        )


def _identify(plan: Plan, model: Model, before: Journal | None) -> dict[str, JsonValue]:
    """Return what the output depends on besides the files.

    Raises:
        ScoringError: it differs from that of a run before.
    """
    identity: dict[str, JsonValue] = {
        "input folder": Storage(plan.source).name,
        "text column": plan.text_column,
        "encoding": plan.encoding,
        "added columns": [column.name for column in plan.columns.added],
        "part rows": plan.part_rows,
        _BAD_ROWS: plan.bad_rows and Storage(plan.bad_rows).name,
        "release": plan.release,
        **model.identity,
    }
    if before:
        was = dict(before.identity)
        if was.get(_BAD_ROWS) is None:  # it has stopped at the first one
            was[_BAD_ROWS] = identity[_BAD_ROWS]
        check_identity(was, identity, _advise(plan))
    return identity


def _advise(plan: Plan) -> str:
    places = " and ".join(Storage(place).name for place in (plan.output, plan.bad_rows) if place)
    return f"delete {places} to start anew"


def _check_files(plan: Plan, files: Iterable[Stored]) -> None:
    """Check that all files can be scored, so that none of them stops the job later.

    Raises:
        ScoringError: some cannot.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        problems = [problem for problem in threads.map(partial(_find_problem, plan), files) if problem]
    if problems:
        more = len(problems) - _LISTED
        listed = ". ".join(problems[:_LISTED])
        raise ScoringError(f"{listed}{f'. {more:,} more files cannot be scored' if more > 0 else ''}")


def _find_problem(plan: Plan, stored: Stored) -> str | None:
    """Return why a file cannot be scored."""
    try:
        open_file(plan, stored)
    except (ScoringError, TableError) as error:
        return str(error)
    return None


def _prepare(place: Storage, name: str, contents: str) -> None:
    """Make a folder with a file that says what it is for, if it is not there, and remove what was half written.

    Raises:
        ScoringError: it cannot be made.
    """
    with explain_errors(place.name):
        place.create()
        place.remove_unfinished()
        if place.read(name) != contents.encode():
            place.write(name, contents.encode())


def _remove_others(place: Storage, files: Container[int]) -> None:
    """Remove what was written of files with other numbers.

    Raises:
        ScoringError: it cannot be removed.
    """
    with explain_errors(place.name):
        for stored in place.list():
            number = find_file_number(stored.name)
            if number is not None and number not in files:
                place.remove(stored.name)


def _find_remaining(files: Mapping[int, Stored], parts: Iterable[Written]) -> list[Remaining]:
    """Return the files that are not done."""
    done: dict[int, set[int]] = {number: set() for number in files}
    counts: dict[int, int] = {}
    for part in parts:
        if part.file in files:
            done[part.file].add(part.number)
            if part.is_last:
                counts[part.file] = part.number + 1
    return [
        Remaining(number, stored, done[number])
        for number, stored in files.items()
        if len(done[number]) != counts.get(number)
    ]


def _count(parts: Iterable[Written], files: Container[int]) -> Counts:
    """Return the rows of the parts of files."""
    own = [part for part in parts if part.file in files]
    return Counts(sum(part.scored for part in own), sum(part.bad for part in own))

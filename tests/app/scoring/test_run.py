import fcntl
import io
import json
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.errors import ScoringError
from app.scoring.display import Display
from app.scoring.job import Job, find_columns
from app.scoring.journal import State
from app.scoring.run import score
from tables.formats import open_table
from tables.inputs import FileInput, PipeInput
from tests.app.scoring.conftest import (
    ADDED,
    MAX_TEXT_CHARACTERS,
    MakeScorer,
    every_format,
    make_rows,
    needs_pyarrow,
    read_table,
    write_table,
)

Run = Callable[..., State]


@pytest.fixture
def run(tmp_path: Path, make_scorer: MakeScorer) -> Run:
    """A function that scores a file of the folder of the test, to a file there."""

    def run(source: str, output: str = "", hook: Callable[[Sequence[str]], object] = len, **options: Any) -> State:
        model = options.pop("model", "imdb-500")
        bad = options.pop("bad_rows", None)
        table = open_table(FileInput(tmp_path / source))
        columns = find_columns(table, options.pop("text_column", None), options.pop("label_column", None))
        job = Job(
            tmp_path / (output or f"scored-{source}"), columns, bad_rows=tmp_path / bad if bad else None, **options
        )
        return score(table, job, lambda: make_scorer(model, hook), Display(io.StringIO()))

    return run


def stop_at(part: str) -> Callable[[Sequence[str]], None]:
    """Return a hook that fails when it sees a text with this part."""

    def hook(texts: Sequence[str]) -> None:
        if any(part in text for text in texts):
            raise ScoringError("no more")

    return hook


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@every_format
def test_columns_are_added_and_the_others_kept(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]], format: str, make_scorer: MakeScorer
) -> None:
    write_table(tmp_path / f"my.{format}", rows)
    state = run(f"my.{format}", text_column="review")
    assert (state.rows, state.scored, state.bad) == (150, 150, 0)
    answers = make_scorer().score([row["review"] for row in rows])
    assert read_table(tmp_path / f"scored-my.{format}") == [
        {
            **row,
            **dict(
                zip(
                    ADDED,
                    [
                        answer["sentiment"],
                        pytest.approx(answer["probability_positive"], abs=0, rel=3e-8),
                        *(answer[name] for name in ADDED[2:]),
                    ],
                    strict=True,
                )
            ),
        }
        for row, answer in zip(rows, answers, strict=True)
        if isinstance(answer, dict)
    ]
    assert list_files(tmp_path) == [f"my.{format}", f"scored-my.{format}"]


@every_format
def test_a_run_that_was_stopped_goes_on(tmp_path: Path, run: Run, rows: list[dict[str, Any]], format: str) -> None:
    name = f"my.{format}"
    write_table(tmp_path / name, rows)
    run(name, "whole." + format, label_column="label")
    with pytest.raises(ScoringError, match="no more"):
        run(name, label_column="label", hook=stop_at("number 100"))
    assert list_files(tmp_path) == sorted([name, "whole." + format, f"scored-{name}.part", f"scored-{name}.progress"])
    with (tmp_path / f"scored-{name}.part").open("ab") as file:
        file.write(b"bytes that were written after the last note")
    texts: list[str] = []
    state = run(name, label_column="label", hook=texts.extend)
    assert state.scored == 150 and state.figures and state.figures.rows == 150
    assert read_table(tmp_path / f"scored-{name}") == read_table(tmp_path / ("whole." + format))
    assert (tmp_path / f"scored-{name}").read_bytes() == (tmp_path / ("whole." + format)).read_bytes()
    assert list_files(tmp_path) == sorted([name, "whole." + format, f"scored-{name}"])


def test_what_was_done_is_not_done_again(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.scoring.run.COMMIT_SECONDS", 0)
    write_table(tmp_path / "my.csv", rows)
    with pytest.raises(ScoringError, match="no more"):
        run("my.csv", hook=stop_at("number 100"))
    done = State.model_validate_json((tmp_path / "scored-my.csv.progress").read_bytes()).rows
    assert 0 < done <= 96
    texts: list[str] = []
    run("my.csv", hook=texts.extend)
    assert sorted(texts) == sorted(row["review"] for row in rows[done:])


def test_a_run_that_was_stopped_before_its_file_had_its_name_is_completed(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]]
) -> None:
    write_table(tmp_path / "my.csv", rows)
    output = tmp_path / "scored-my.csv"
    with pytest.raises(ScoringError, match=r"scored-my.csv cannot be written \(Is a directory\); make room"):
        run("my.csv", bad_rows="bad", hook=lambda _: output.mkdir(exist_ok=True))
    output.rmdir()
    state = run("my.csv", bad_rows="bad", hook=stop_at(""))
    assert state.scored == len(read_table(output)) == 150
    assert list_files(tmp_path) == ["bad", "my.csv", "scored-my.csv"]


@needs_pyarrow
def test_a_parquet_file_that_was_published_by_half_is_completed(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]]
) -> None:
    write_table(tmp_path / "my.parquet", rows)
    output = tmp_path / "scored-my.parquet"
    with pytest.raises(ScoringError, match="cannot be written"):
        run("my.parquet", hook=lambda _: output.mkdir(exist_ok=True))
    output.rmdir()
    assert "scored-my.parquet.part" in list_files(tmp_path)
    run("my.parquet", hook=stop_at(""))
    assert len(read_table(output)) == 150
    assert list_files(tmp_path) == ["my.parquet", "scored-my.parquet"]


@pytest.mark.parametrize(
    ("changes", "differing"),
    [
        ({"text_column": "note"}, r"text column \(before: review, now: note\)"),
        ({"label_column": "label"}, r"label column \(before: None, now: label\)"),
        ({"prefix": "new_"}, r"prefix \(before: , now: new_\)"),
        ({"source": "other.csv"}, "input"),
        (
            {"model": "next-letter", "source": "other.csv"},
            r"input, model \(before: imdb-500, now: next-letter\)",
        ),
    ],
)
def test_another_run_does_not_go_on_with_the_same_output(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]], changes: dict[str, str], differing: str
) -> None:
    write_table(tmp_path / "my.csv", rows)
    write_table(tmp_path / "other.csv", rows[1:])
    with pytest.raises(ScoringError):
        run("my.csv", "out.csv", text_column="review", hook=stop_at("number 100"))
    options = {"source": "my.csv", "text_column": "review"} | changes
    with pytest.raises(
        ScoringError, match=f"not as they were then: {differing}; .* or delete .*out.csv.progress to st"
    ):
        run(options.pop("source"), "out.csv", **options)
    (tmp_path / "out.csv.progress").unlink()
    assert run("other.csv", "out.csv").scored == 149


def test_a_damaged_note_is_refused(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    (tmp_path / "scored-my.csv.progress").write_text("{")
    with pytest.raises(ScoringError, match=r"progress cannot be read \(.*\); delete .*progress to start anew"):
        run("my.csv")


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    path = write_table(tmp_path / "my.csv", rows)

    def append(_: object) -> None:
        with path.open("ab") as file:
            file.write(b"\n")

    advice = "my.csv changed while it was read; delete .*{}.progress and start anew"
    with pytest.raises(ScoringError, match=advice.format("out.csv")):
        run("my.csv", "out.csv", hook=append)
    with pytest.raises(ScoringError, match="not as they were then: input; to go on, make them so again, or delete"):
        run("my.csv", "out.csv")
    with pytest.raises(ScoringError, match=advice.format("scored-my.csv")):
        run("my.csv", hook=lambda _: path.unlink(missing_ok=True))


def test_a_bad_row_stops_the_run_or_goes_to_a_file(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) for row in rows]
    lines[100], lines[120], lines[140] = '{"review": 5}', "{", '{"review": "a", "words_cut": 1}'
    (tmp_path / "my.jsonl").write_text("\n".join(lines))
    with pytest.raises(ScoringError) as stopped:
        run("my.jsonl")
    not_a_text = "has a value of the type int in the column of the texts; a text was expected"
    file = str(tmp_path / "my.jsonl")
    assert str(stopped.value) == (
        f"{file}, line 101 {not_a_text}. To leave such rows out and go on, run the same command with --bad-rows FILE, "
        f"which keeps them. Or correct {file}, delete {tmp_path / 'scored-my.jsonl.progress'} and start anew: a run "
        "goes on only with the same input"
    )
    texts: list[str] = []
    state = run("my.jsonl", bad_rows="bad", hook=texts.extend)
    assert len(texts) == 150 - 96 - 3
    assert (state.rows, state.scored, state.bad) == (150, 147, 3)
    assert len(read_table(tmp_path / "scored-my.jsonl")) == 147
    reasons = [
        not_a_text,
        "is not JSON (Expecting property name enclosed in double quotes); one object a line was expected",
        "has a field 'words_cut' already; choose other names for the new ones with --prefix",
    ]
    assert [json.loads(line) for line in (tmp_path / "bad").read_text().splitlines()] == [
        {"file": file, "line": line, "reason": reason, "row": lines[line - 1]}
        for line, reason in zip((101, 121, 141), reasons, strict=True)
    ]


@every_format
def test_bad_rows_can_be_repaired_and_scored_alone(
    tmp_path: Path, run: Run, rows: list[dict[str, Any]], format: str
) -> None:
    for row in (rows[7], rows[70]):
        row["review"] = "long " * (MAX_TEXT_CHARACTERS // 5) + row["review"]
    write_table(tmp_path / f"my.{format}", rows)
    assert run(f"my.{format}", bad_rows="bad", text_column="review").bad == 2
    kept = [json.loads(line)["row"] for line in (tmp_path / "bad").read_text().splitlines()]
    suffix = "jsonl" if format == "parquet" else format.removesuffix(".gz")
    lines = [row if isinstance(row, str) else json.dumps(row) for row in kept]
    header = [] if suffix == "jsonl" else ["\t".join(rows[0]) if suffix == "tsv" else ",".join(rows[0])]
    repaired = "\n".join([*header, *lines]).replace("long ", "")
    (tmp_path / f"again.{suffix}").write_bytes(repaired.encode())
    assert run(f"again.{suffix}", text_column="review").bad == 0
    assert [row["id"] for row in read_table(tmp_path / f"scored-again.{suffix}")] == [7, 70]


def test_after_a_bad_row_the_run_goes_on_or_starts_anew(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) for row in rows]
    damaged = [*lines[:100], "{", *lines[101:]]
    for way, expected in (("with the option", [*range(100), *range(101, 150)]), ("repaired", [*range(150)])):
        (tmp_path / "my.jsonl").write_text("\n".join(damaged))
        with pytest.raises(ScoringError, match="line 101 is not JSON"):
            run("my.jsonl", "out.jsonl")
        if way == "repaired":
            (tmp_path / "my.jsonl").write_text("\n".join(lines))
            with pytest.raises(ScoringError, match="input; to go on, make them so again, or delete .* to start anew"):
                run("my.jsonl", "out.jsonl")
            (tmp_path / "out.jsonl.progress").unlink()
        run("my.jsonl", "out.jsonl", bad_rows=None if way == "repaired" else "bad")
        assert [row["id"] for row in read_table(tmp_path / "out.jsonl")] == expected
        (tmp_path / "out.jsonl").unlink()


@every_format
def test_a_row_without_a_text_has_no_verdict(tmp_path: Path, run: Run, rows: list[dict[str, Any]], format: str) -> None:
    texts: list[str] = []
    rows[3]["review"] = rows[149]["review"] = ""
    rows[4]["review"] = None if format.startswith(("json", "parquet")) else ""
    write_table(tmp_path / f"my.{format}", rows)
    state = run(f"my.{format}", text_column="review", label_column="label", hook=texts.extend)
    assert (state.scored, state.bad, len(texts)) == (150, 0, 147)
    assert state.figures and sum(state.figures.unreadable) == 3
    scored = read_table(tmp_path / f"scored-my.{format}")
    assert [[row[name] for name in ADDED] for row in (scored[3], scored[4], scored[149])] == [[None, None, 0, 0, 0]] * 3
    assert None not in [row["predicted_sentiment"] for row in scored[5:149] if row["words_used"] > 2]


def test_a_line_without_the_key_has_no_verdict(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.jsonl").write_text('{"text": "a great film"}\n{"n": 1}\n{"text": NaN}\n{"text": 1.5}\n')
    state = run("my.jsonl", bad_rows="bad")
    assert (state.scored, state.bad) == (3, 1)
    assert "value of the type float" in (tmp_path / "bad").read_text()
    assert [row["predicted_sentiment"] for row in read_table(tmp_path / "scored-my.jsonl")[1:]] == [None, None]


def test_letters_that_are_missing_are_not_continued(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.csv").write_text("text,n\nABC,1\n,2\n")
    assert run("my.csv", model="next-letter").bad == 0
    assert (tmp_path / "scored-my.csv").read_text().splitlines()[2] == ",2,,"


def test_a_text_that_the_service_would_refuse_is_a_bad_row(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.csv").write_text(f"text\n{'a' * MAX_TEXT_CHARACTERS}\n{'a' * MAX_TEXT_CHARACTERS}b\n")
    assert run("my.csv", bad_rows="bad").bad == 1
    assert "cannot be scored: the text has 1000001 characters, the limit is 1000000" in (tmp_path / "bad").read_text()


def test_bad_rows_of_a_run_before_are_not_lost(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row) for row in rows]
    lines[3], lines[140] = "{", "{"
    (tmp_path / "my.jsonl").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ScoringError):
        patch.setattr("app.scoring.run.COMMIT_SECONDS", 0)
        run("my.jsonl", bad_rows="bad", hook=stop_at("number 100"))
    with pytest.raises(ScoringError, match="the run before put 1 row aside; name the file again with --bad-rows"):
        run("my.jsonl")
    with pytest.raises(ScoringError, match="other.part has 0 bytes, and a run before wrote"):
        run("my.jsonl", bad_rows="other")
    assert run("my.jsonl", bad_rows="bad").bad == 2
    assert len((tmp_path / "bad").read_text().splitlines()) == 2


def test_sequences_of_letters_are_continued(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.csv").write_text("text,letter\nXYZ,A\nABC,D\nA1,B\n")
    state = run("my.csv", model="next-letter", label_column="letter", bad_rows="bad")
    assert [line.rpartition(",")[0] for line in (tmp_path / "scored-my.csv").read_text().splitlines()[1:]] == [
        "XYZ,A,A",
        "ABC,D,D",
    ]
    assert state.figures and state.figures.accuracy == 1
    assert "line 4" not in (tmp_path / "bad").read_text()
    assert "cannot be scored: '1' (U+0031) at position 1" in (tmp_path / "bad").read_text()


def test_nothing_is_written_over(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    for existing in ("out.csv", "bad"):
        (tmp_path / existing).write_text("precious")
        with pytest.raises(ScoringError, match=f"{existing} is there already; delete it, or name another file"):
            run("my.csv", "out.csv", bad_rows="bad")
        (tmp_path / existing).rename(tmp_path / f"kept-{existing}")
    assert not (tmp_path / "out.csv.part").exists()


def test_an_output_that_another_process_writes_is_refused(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    with (tmp_path / "scored-my.csv.part").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ScoringError, match="another process writes .*scored-my.csv.part; wait for its end"):
            run("my.csv")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    with pytest.raises(ScoringError, match=r"there is no folder .*none for out.csv; make it \(mkdir -p .*/none\)"):
        run("my.csv", "none/out.csv", hook=stop_at(""))


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("review,words_used", {}, "my.csv has already the column 'words_used'; choose other names .* --prefix new_"),
        ("review,new_words_used", {"prefix": "new_"}, "has already the column 'new_words_used'"),
        (
            "review,text",
            {"output": "out.jsonl"},
            "out.jsonl is to have the format of the input; give it the suffix",
        ),
    ],
)
def test_columns_and_suffixes_that_do_not_fit_are_refused(
    tmp_path: Path, run: Run, header: str, options: dict[str, str], message: str
) -> None:
    (tmp_path / "my.csv").write_text(f"{header}\na,b\n")
    with pytest.raises(ScoringError, match=message):
        run("my.csv", text_column="review", **options)


def test_a_prefix_makes_other_names(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    run("my.csv", "first.csv")
    run("first.csv", "second.csv", prefix="new_", text_column="review")
    *_, last = read_table(tmp_path / "second.csv")
    assert [*last][4:] == [*ADDED, *(f"new_{name}" for name in ADDED)]
    assert last["new_words_used"] == str(last["words_used"])


def test_a_pipe_is_scored_to_a_file_but_cannot_go_on(
    tmp_path: Path, rows: list[dict[str, Any]], make_scorer: MakeScorer
) -> None:
    path = write_table(tmp_path / "my.csv", rows)
    job = Job(tmp_path / "out.csv", ("review",))

    def run(hook: Callable[[Sequence[str]], object]) -> State:
        with path.open("rb") as file:
            return score(open_table(PipeInput(file)), job, lambda: make_scorer(hook=hook), Display(io.StringIO()))

    with pytest.raises(ScoringError, match="no more"):
        run(stop_at("number 100"))
    assert list_files(tmp_path) == ["my.csv", "out.csv.part"]
    assert run(len).scored == len(read_table(tmp_path / "out.csv")) == 150
    assert list_files(tmp_path) == ["my.csv", "out.csv"]


def test_standard_output_gets_the_rows(
    tmp_path: Path, rows: list[dict[str, Any]], make_scorer: MakeScorer, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path / "my.csv", rows)
    job = Job(None, ("review",), bad_rows=tmp_path / "bad")
    state = score(open_table(FileInput(path)), job, lambda: make_scorer(), Display(io.StringIO()))
    assert state.scored == len(capfd.readouterr().out.split("\r\n;\t")) - 1 == 150
    assert list_files(tmp_path) == ["bad", "my.csv"]


def test_a_bad_row_stops_a_run_that_cannot_go_on(
    tmp_path: Path, make_scorer: MakeScorer, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.csv").write_text("review\na\nb,c\n")
    with pytest.raises(ScoringError, match="line 3 has 2 fields.* To leave such rows out, add --bad-rows FILE, which"):
        score(open_table(FileInput(tmp_path / "my.csv")), Job(None, ("review",)), make_scorer, Display(io.StringIO()))
    assert capfd.readouterr().out.startswith("review,predicted_sentiment,")


def test_what_cannot_be_written_is_told(tmp_path: Path, rows: list[dict[str, Any]], make_scorer: MakeScorer) -> None:
    path = write_table(tmp_path / "my.csv", rows)
    job = Job(Path("/proc/out.csv"), ("review",))
    with pytest.raises(ScoringError, match="out.csv.part cannot be written"):
        score(open_table(FileInput(path)), job, lambda: make_scorer(), Display(io.StringIO()))


def test_a_full_disk_is_told(tmp_path: Path, run: Run, rows: list[dict[str, Any]]) -> None:
    write_table(tmp_path / "my.csv", rows)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    try:
        with pytest.raises(ScoringError, match=r"out.csv.part cannot be written \(File too large\); make room"):
            run("my.csv", "out.csv", hook=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run("my.csv", "out.csv").scored == 150


def test_long_texts_make_small_windows(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.csv").write_text("text\n" + ("word " * 130_000 + "\n") * 5)
    sizes: list[int] = []
    run("my.csv", hook=lambda texts: sizes.append(len(texts)))
    assert sorted(sizes) == [1, 2, 2]


def test_a_table_without_rows_is_scored(tmp_path: Path, run: Run) -> None:
    (tmp_path / "my.csv").write_text("text,label\n")
    state = run("my.csv", label_column="label")
    assert (tmp_path / "scored-my.csv").read_text() == f"text,label,{','.join(ADDED)}\n"
    assert state.figures and state.figures.rows == 0


def test_rows_stay_in_order_over_many_windows(tmp_path: Path, run: Run) -> None:
    rows = make_rows(2000)
    write_table(tmp_path / "my.csv", rows)
    run("my.csv")
    assert [row["id"] for row in read_table(tmp_path / "scored-my.csv")] == [*range(2000)]

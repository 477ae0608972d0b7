"""`python -m app score` as a process of its own, which is killed, interrupted, and runs out of disk."""

import gzip
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app import client
from app.command import make_command
from app.scoring import command
from app.scoring.workers import WINDOW_TEXTS
from app.settings import PREFIX, Settings
from tests.app.processes.commands import ENVIRONMENT
from tests.app.scoring.conftest import ADDED, MODELS, NAME, make_rows, make_texts, read_table, write_table
from tests.app.service import ROOT
from tests.conftest import SECONDS

COMMAND = [sys.executable, "-m", "app", "score"]
ROWS = 20_000
MODEL = ["--models", str(MODELS), "--model", NAME]


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments), *MODEL],
        cwd=ROOT,
        env=ENVIRONMENT | {"LSTM_SERVE_WORKERS": options.pop("workers", "2")},
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(*arguments: object, stdin: bytes | None = None, **options: Any) -> tuple[int, bytes, str]:
    """Return exit status, standard output and standard error of the command."""
    process = start(*arguments, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE, **options)
    output, error = process.communicate(stdin, timeout=SECONDS)
    return process.returncode, output, error.decode()


def find_processes(parent: int) -> list[int]:
    """Return the processes that have this one as parent; none if it has ended."""
    try:
        return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        return []


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_until_grown(path: Path, process: subprocess.Popen[bytes]) -> None:
    size = path.stat().st_size if path.exists() else 0
    end = time.monotonic() + SECONDS
    while process.poll() is None and not (path.exists() and path.stat().st_size > size + 100_000):
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_for_end(process: int) -> None:
    end = time.monotonic() + SECONDS
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_file_is_scored_with_its_figures(tmp_path: Path) -> None:
    rows = make_rows(300)
    write_table(tmp_path / "my.csv", rows)
    status, output, error = run(tmp_path / "my.csv", tmp_path / "out.csv", "--label-column", "label")
    assert status == 0, error
    scored = read_table(tmp_path / "out.csv")
    assert [row["id"] for row in scored] == [*range(300)]
    right = sum(row["label"] == row["predicted_sentiment"] for row in scored)
    lines = output.decode().splitlines()
    assert lines[0].split() == ["labelled", "rows", "300"] and lines[1].split() == ["accuracy", f"{right / 300:.4f}"]
    assert "label     " in output.decode() and "as positive" in output.decode()
    assert error.startswith("300 rows in ") and error.endswith(" rows/s\n")


def test_a_pipe_is_scored_to_a_pipe() -> None:
    rows = [{"review": text, "kind": "good"} for text in make_texts(50)]
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    status, output, error = run("-", "-", "--label-column", "kind", stdin=gzip.compress(content))
    assert status == 0, error
    scored = [json.loads(line) for line in output.splitlines()]
    assert [row["review"] for row in scored] == [row["review"] for row in rows]
    assert [*scored[0]] == ["review", "kind", *ADDED]
    assert "50 rows with a label that the model does not have" in error


def test_a_named_pipe_is_scored(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = start(tmp_path / "fifo", "-")
    (tmp_path / "fifo").write_text("text\na wonderful film\n")
    output, error = process.communicate(timeout=SECONDS)
    assert output.decode().splitlines()[1].startswith("a wonderful film,positive,0."), error


def test_a_reader_that_leaves_ends_it(tmp_path: Path) -> None:
    write_table(tmp_path / "my.csv", make_rows(2000))
    process = start(tmp_path / "my.csv", "-")
    assert process.stdout and process.stderr
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(SECONDS), error) == (128 + signal.SIGPIPE, "")


def check_output(output: Path, expected: list[int], whole: Path) -> None:
    """Check that every good row is there once, and that both files are those of a run that was not stopped."""
    assert [row["id"] for row in read_table(output)] == expected
    assert output.read_bytes() == whole.read_bytes()
    assert (output.parent / "bad").read_bytes() == (whole.parent / "bad").read_bytes()


@pytest.mark.parametrize(("format", "kills", "workers"), [("csv", 20, "1"), ("jsonl.gz", 4, "2"), ("parquet", 4, "2")])
def test_killed_again_and_again_it_loses_and_doubles_no_row(
    tmp_path: Path, format: str, kills: int, workers: str
) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    rows = make_rows(ROWS)
    for row in rows:  # longer ones, which take some seconds
        row["review"] = " ".join([row["review"]] * 8)
    expected = [*range(ROWS)]
    if format != "csv":
        rows[ROWS // 3]["review"] = "word " * 30_000
        del expected[ROWS // 3]
    source, output = write_table(tmp_path / f"my.{format}", rows), tmp_path / f"out.{format}"
    (tmp_path / "whole").mkdir()
    whole = tmp_path / "whole" / output.name
    arguments = ["--bad-rows", tmp_path / "whole" / "bad", "--label-column", "label"]
    assert run(source, whole, *arguments, workers="2")[0] == (0 if format == "csv" else 3)
    randomly = random.Random(7)
    done: list[int] = []
    killed = 0
    while killed < kills or not output.exists():
        if output.exists():  # it was faster than the next kill: again
            check_output(output, expected, whole)
            output.unlink()
            (tmp_path / "bad").unlink()
        process = start(source, output, "--bad-rows", tmp_path / "bad", "--label-column", "label", workers=workers)
        if killed < kills:
            if killed % 4:  # else perhaps while it starts
                wait_until_grown(tmp_path / f"out.{format}.part", process)
            time.sleep(randomly.uniform(0, 1.5))
            below = find_processes(process.pid)
            process.kill()
            process.communicate(timeout=SECONDS)
            killed += process.returncode == -signal.SIGKILL
            if (tmp_path / f"out.{format}.progress").exists():
                done.append(json.loads((tmp_path / f"out.{format}.progress").read_text())["rows"])
            for worker in below:  # they end by themselves
                wait_for_end(worker)
        else:
            process.communicate(timeout=SECONDS)
            assert process.returncode == (0 if format == "csv" else 3)
    check_output(output, expected, whole)
    assert format != "csv" or any(0 < rows_done < ROWS for rows_done in done)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, output.name, "bad", "whole"])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_same_command_goes_on(tmp_path: Path, number: signal.Signals, status: int) -> None:
    source, output = write_table(tmp_path / "my.csv", make_rows(20_000)), tmp_path / "out.csv"
    process = start(source, output, start_new_session=True)
    wait_for(tmp_path / "out.csv.progress", process)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, error = process.communicate(timeout=SECONDS)
    assert (process.returncode, error.decode()) == (status, "stopped; run the same command again to go on\n")
    assert run(source, output)[0] == 0
    assert [row["id"] for row in read_table(output)] == [*range(20_000)]


def test_a_full_disk_stops_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    source, output = write_table(tmp_path / "my.csv", make_rows(3000)), tmp_path / "out.csv"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))

    status, _, error = run(source, output, preexec_fn=limit)
    assert status == 1
    assert f"error: {output}.part cannot be written (File too large); make room" in error
    assert not output.exists()
    assert run(source, output)[0] == 0
    assert [row["id"] for row in read_table(output)] == [*range(3000)]


@pytest.mark.parametrize(
    ("output", "status", "message"),
    [
        ("/dev/null", 0, "3,000 rows in "),
        (
            "/dev/full",
            1,
            "error: /dev/full cannot be written (No space left on device); it has only a part of the rows",
        ),
        ("none/out.csv", 1, "error: there is no folder none for out.csv; make it (mkdir -p none), or name another"),
    ],
)
def test_devices_are_written_as_pipes(tmp_path: Path, output: str, status: int, message: str) -> None:
    source = write_table(tmp_path / "my.csv", make_rows(3000))
    found, shown, error = run(source, output)
    assert (found, shown) == (status, b"")
    assert error.startswith(message) and len(error.splitlines()) == 1
    assert Path("/dev/full").is_char_device() and Path("/dev/null").is_char_device()


def test_standard_output_under_its_name_gets_the_rows(tmp_path: Path) -> None:
    source = write_table(tmp_path / "my.csv", make_rows(30))
    with (tmp_path / "out.csv").open("w") as file:
        command = [*COMMAND, str(source), "/dev/stdout", "--label-column", "label", *MODEL]
        ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=file, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 0 and "accuracy" in ended.stderr
    assert [row["id"] for row in read_table(tmp_path / "out.csv")] == [*range(30)]


def test_a_file_without_line_breaks_has_a_short_message(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("x" * 900_000)
    status, _, error = run(tmp_path / "my.csv", tmp_path / "out.csv")
    assert status == 1 and len(error) < 1000


def test_rows_that_are_put_aside_have_an_exit_status_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("text,label\ngood,1\nbad\n")
    status, _, error = run(tmp_path / "my.csv", tmp_path / "out.csv")
    assert status == 1 and f"error: {tmp_path / 'my.csv'}, line 3 has 1 field, the header has 2" in error
    status, _, error = run(tmp_path / "my.csv", tmp_path / "out.csv", "--bad-rows", tmp_path / "bad")
    assert status == 3 and error.endswith(f"1 row put aside in {tmp_path / 'bad'}\n")


TEXTS = ["my.csv", "out.csv", "--text-column", "a"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["missing.csv", "out.csv"],
            "error: missing.csv cannot be read (No such file or directory); name a file, or -",
        ),
        ([*TEXTS, "--model", "nobody"], "error: there is no bundle nobody in "),
        ([*TEXTS, "--model", NAME, "--version", "99"], "error: there is no bundle imdb-5"),
        ([*TEXTS, "--model", NAME, "--version", "old"], "error: there is no label 'old' of imdb-500"),
        (["my.csv", "out.csv", "--text-column", "b"], "error: there is no column 'b'; the columns of my.csv are: 'a'"),
        (["-", "out.csv"], "error: standard input is empty; data may be: CSV"),
        ([*TEXTS, "--url", "service"], "error: 'service' is not the address of a service; write it as"),
    ],
)
@pytest.mark.usefixtures("restored")
def test_what_cannot_be_done_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text("a\n1\n")
    result = CliRunner().invoke(make_command(), ["--models", str(MODELS), "score", *arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith(message), result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("restored")
def test_without_httpx_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.csv").write_text("text\na\n")
    monkeypatch.delitem(sys.modules, "app.scoring.service", raising=False)
    monkeypatch.setitem(sys.modules, "app.client", None)
    result = invoke(tmp_path / "my.csv", tmp_path / "out.csv", "--url", "http://localhost:1")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: --url needs httpx; install it with `pip install httpx`")


@pytest.mark.usefixtures("restored")
def test_in_this_process_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    source = write_table(tmp_path / "my.csv", make_rows(2000))
    os.mkfifo(tmp_path / "fifo")
    reading = threading.Thread(target=lambda: (tmp_path / "fifo").open("rb").close())
    reading.start()
    ended = invoke(source, tmp_path / "fifo")
    reading.join(SECONDS)
    assert (ended.exit_code, ended.stderr) == (128 + signal.SIGPIPE, "")


def test_client_and_command_read_the_same_variable_and_the_service_has_no_such_setting() -> None:
    assert command.KEY_VARIABLE == client.KEY_VARIABLE
    assert command.KEY_VARIABLE.removeprefix(PREFIX).lower() not in Settings.model_fields


def test_an_encoding_that_there_is_not_is_a_wrong_option() -> None:
    result = CliRunner().invoke(make_command(), ["score", "my.csv", "out.csv", "--encoding", "nothing"])
    assert result.exit_code == 2
    assert "Invalid value for '--encoding': there is no encoding 'nothing'; usual ones are" in result.stderr


def test_after_a_quotation_mark_that_is_not_closed_the_rest_is_scored(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text('text,id\n"A tender film,1\nA boring film,2\n"Lazy",3\n')
    status, _, error = run(tmp_path / "my.csv", tmp_path / "out.csv", "--bad-rows", tmp_path / "bad")
    assert status == 3 and error.endswith(f"1 row put aside in {tmp_path / 'bad'}\n")
    assert [int(row["id"]) for row in read_table(tmp_path / "out.csv")] == [2, 3]
    assert json.loads((tmp_path / "bad").read_text())["line"] == 2


@pytest.fixture
def restored() -> Iterator[None]:
    """Put back the handlers of signals, which the command replaces in its process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def invoke(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(make_command(), ["--workers", "1", "score", *map(str, arguments), *MODEL])


@pytest.mark.usefixtures("restored")
def test_in_this_process_it_reads_files_and_pipes(tmp_path: Path) -> None:
    content = "text,label\na wonderful film,positive\n"
    (tmp_path / "my.csv").write_text(content)
    scored = invoke(tmp_path / "my.csv", tmp_path / "out.csv", "--label-column", "label", "--version", "3")
    assert (scored.exit_code, scored.stdout.splitlines()[0].split()) == (0, ["labelled", "rows", "1"])
    os.mkfifo(tmp_path / "fifo")
    writing = threading.Thread(target=(tmp_path / "fifo").write_text, args=[f"{content}bad"])
    writing.start()
    piped = invoke(tmp_path / "fifo", tmp_path / "piped.csv", "--bad-rows", tmp_path / "bad")
    writing.join(SECONDS)
    assert piped.exit_code == 3 and "1 row put aside in " in piped.stderr
    assert (tmp_path / "piped.csv").read_text() == (tmp_path / "out.csv").read_text()


@pytest.mark.usefixtures("restored")
def test_in_this_process_a_signal_ends_it(tmp_path: Path) -> None:
    source = write_table(tmp_path / "my.csv", make_rows(20_000))

    def end() -> None:
        while not (tmp_path / "out.csv.progress").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end)
    ending.start()
    ended = invoke(source, tmp_path / "out.csv")
    ending.join(SECONDS)
    assert (ended.exit_code, ended.stderr) == (143, "stopped; run the same command again to go on\n")


def test_wrong_options_have_a_status_of_their_own() -> None:
    assert CliRunner().invoke(make_command(), ["score", "my.csv"]).exit_code == 2


@pytest.mark.parametrize(
    "options", [["--url", "http://localhost"], ["--label-column", "x"], ["-"], ["--bad-rows", "-"]]
)
def test_ray_is_not_combined_with_what_it_cannot_do(options: list[str]) -> None:
    places = ["my.csv"] if options == ["-"] else ["my.csv", "out"]
    refused = CliRunner().invoke(make_command(), ["score", *places, *options, "--ray=local"])
    assert refused.exit_code == 2 and "--ray reads and writes no pipe, and takes neither --url" in refused.stderr


def test_rows_of_a_part_are_for_ray() -> None:
    refused = CliRunner().invoke(make_command(), ["score", "my.csv", "out.csv", "--part-rows", "9"])
    assert refused.exit_code == 2 and "--part-rows is for --ray" in refused.stderr


@pytest.mark.usefixtures("restored")
def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "cluster.command", raising=False)
    monkeypatch.delitem(sys.modules, "cluster.scoring", raising=False)
    refused = invoke("my.csv", "out", "--ray")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: --ray needs Ray, and there is no module ray; install it (pip install 'l")


def test_the_help_has_the_exit_statuses() -> None:
    shown = " ".join(CliRunner().invoke(make_command(), ["score", "--help"]).output.split())
    for part in ("0 all rows are scored; 1 stopped", "2 wrong options; 3 all rows are done", "130 and 143"):
        assert part in shown


def test_it_imports_nothing_of_http_and_its_first_process_no_engine(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("text\n" + "a wonderful film\n" * (WINDOW_TEXTS + 1))
    code = f"""
import sys
sys.argv = ["app", "--workers", "1", "score", {str(tmp_path / "my.csv")!r}, "-", *{MODEL!r}]
from app.__main__ import main
try:
    main()
finally:
    unwanted = {{"fastapi", "starlette", "uvicorn", "httptools", "httpx", "app.http", "onnxruntime", "pyarrow"}}
    print(unwanted & {{*sys.modules}}, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines()[-1] == "set()"

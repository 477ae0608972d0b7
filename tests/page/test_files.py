"""Whole files, scored in a real browser."""

import base64
import csv
import gzip
import hashlib
import io
import json
import random
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.page.conftest import open_page

GOOD = ("wonderful", "tender", "great")
BAD = ("awful", "boring", "lazy")
COUNTS = ("words_used", "words_unknown", "words_cut")

PARSE = """async ([text, size, delimiter]) => {
    const { TableFormat } = await import("/page/parsing.js");
    const format = new TableFormat(delimiter);
    const rows = [];
    try {
        for (let at = 0; at < text.length; at += size) {
            rows.push(...format.push(text.slice(at, at + size)));
            if (format.error) throw format.error;
        }
        rows.push(...format.end());
    } catch (error) {
        return { message: error.message };
    }
    const written = [format.writeHead([]), ...rows.map((row) => format.writeRow(row, []))].join("");
    const [fields, lines] = [rows.map((row) => row.fields), rows.map((row) => row.line)];
    return { columns: format.columns, fields, lines, written };
}"""

UNPACK = """async (packed) => {
    const { readBytes } = await import("/page/bytes.js");
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const parts = [];
    for await (const part of readBytes(new File([bytes], "a.gz"))) parts.push(part.bytes);
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    return Array.from(new Uint8Array(digest), (one) => one.toString(16).padStart(2, "0")).join("");
}"""


def make_rows(count: int) -> list[dict[str, str]]:
    return [
        {
            "id": str(number),
            "review": f'A {(GOOD, BAD)[number % 2][number % 3]} film, "{number}"\nI call it.',
            "sentiment": ("positive", "negative", "1")[number % 3],
        }
        for number in range(count)
    ]


def write_table(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture
def files(page: Page) -> Page:
    page.get_by_role("tab", name="Files").click()
    expect(page.locator("#file-model")).to_have_value("sentiment")
    return page


def choose(page: Page, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    page.set_input_files("#file", {"name": name, "mimeType": "text/plain", "buffer": data})


def score(page: Page, name: str, content: str | bytes) -> str:
    """Score a file, and return what is downloaded."""
    choose(page, name, content)
    page.get_by_role("button", name="Score all rows").click()
    return download(page)


def download(page: Page) -> str:
    expect(page.locator("#download")).to_be_visible()
    with page.expect_download() as downloading:
        page.locator("#download").click()
    return Path(downloading.value.path()).read_bytes().decode()


def ask(service: httpx.Client, texts: list[str]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for first in range(0, len(texts), 40):
        answers += service.post("/sentiment/batch", json={"texts": texts[first : first + 40]}).json()["answers"]
    return answers


@pytest.mark.parametrize(("name", "delimiter"), [("my reviews.csv", ","), ("reviews.tsv", "\t"), ("reviews.csv", ";")])
def test_a_table_comes_back_with_the_answers_of_the_service(
    files: Page, service: httpx.Client, name: str, delimiter: str
) -> None:
    rows = make_rows(205)
    scored = score(files, name, "\ufeff" + write_table(rows, delimiter))
    answers = ask(service, [row["review"] for row in rows])
    found = list(csv.DictReader(io.StringIO(scored, newline=""), delimiter=delimiter))
    assert found == [
        row
        | {
            "predicted_sentiment": answer["sentiment"],
            "probability_positive": found_row["probability_positive"],
            **{name: str(answer[name]) for name in COUNTS},
        }
        for row, answer, found_row in zip(rows, answers, found, strict=True)
    ]
    assert list(found[0]) == [*rows[0], "predicted_sentiment", "probability_positive", *COUNTS]
    assert [float(row["probability_positive"]) for row in found] == [one["probability_positive"] for one in answers]
    expect(files.locator("#progress-words")).to_contain_text("Done: 205 rows")


def test_objects_on_lines_keep_their_fields_as_they_are(files: Page, service: httpx.Client) -> None:
    lines = ['{"text": "A great film.", "n": 1.0}', "", '{ "n" : 12345678901234567890, "text":"awful" }', '{"n": 1}']
    scored = score(files, "reviews.jsonl", "\n".join([*lines, "{}"])).splitlines()
    one, two = ask(service, ["A great film.", "awful"])
    assert scored[0].startswith('{"text": "A great film.", "n": 1.0, "predicted_sentiment": ')
    assert json.loads(scored[0])["probability_positive"] == one["probability_positive"]
    assert json.loads(scored[0])["words_used"] == one["words_used"]
    assert scored[1].startswith(
        f'{{ "n" : 12345678901234567890, "text":"awful", "predicted_sentiment": "{two["sentiment"]}", '
    )
    nothing = '"predicted_sentiment": null, "probability_positive": null, "words_used": 0, "words_unknown": 0, '
    assert scored[2:] == [f'{{"n": 1, {nothing}"words_cut": 0}}', f'{{{nothing}"words_cut": 0}}']
    expect(files.locator("#figures")).to_contain_text("2 rows without a known word")


def test_a_row_without_a_text_is_not_sent(files: Page) -> None:
    sent: list[str] = []
    files.on("request", lambda request: sent.append(request.post_data or ""))
    lines = ['{"text": ""}', '{"text": null}', '{"n": 1}', '{"text": "great"}']
    scored = [json.loads(line) for line in score(files, "reviews.jsonl", "\n".join(lines)).splitlines()]
    assert [row["words_used"] for row in scored] == [0, 0, 0, 1]
    assert [row["predicted_sentiment"] is None for row in scored] == [True, True, True, False]
    bodies = [json.loads(body) for body in sent if body]
    assert [body["texts"] for body in bodies if "texts" in body] == [["great"]]
    found = [*csv.DictReader(io.StringIO(score(files, "reviews.csv", "text,n\n,1\ngreat,2\n")))]
    assert found[0] == {
        "text": "",
        "n": "1",
        "predicted_sentiment": "",
        "probability_positive": "",
        **dict.fromkeys(COUNTS, "0"),
    }


def test_with_right_labels_there_are_accuracy_and_confusion_matrix(files: Page, service: httpx.Client) -> None:
    rows = make_rows(99)
    score(files, "reviews.csv", write_table(rows))
    truths = [{"positive": "positive", "negative": "negative", "1": "positive"}[row["sentiment"]] for row in rows]
    verdicts = [answer["sentiment"] for answer in ask(service, [row["review"] for row in rows])]
    right = sum(one == other for one, other in zip(truths, verdicts, strict=True))
    expect(files.locator("#figures")).to_contain_text(f"{100 * right / 99:.1f} % accuracy")
    for truth in ("negative", "positive"):
        row = files.locator(".confusion tbody tr", has_text=truth)
        for place, verdict in enumerate(("negative", "positive")):
            number = sum(pair == (truth, verdict) for pair in zip(truths, verdicts, strict=True))
            expect(row.locator("td").nth(place)).to_contain_text(str(number))
    expect(files.get_by_role("img", name="Histogram")).to_be_visible()


def test_labels_that_the_model_lacks_are_named(files: Page) -> None:
    score(files, "reviews.csv", "text,label\na great film,5 stars\nawful,mixed\n")
    expect(files.locator("#figures")).to_contain_text(
        "The model has no label for \u201c5 stars\u201d, \u201cmixed\u201d"
    )


def test_columns_are_found_by_their_names_and_can_be_changed(files: Page, service: httpx.Client) -> None:
    table = "Label,notes,Review_Body,n\n0,film,a great and wonderful film,1\n"
    choose(files, "reviews.csv", table)
    expect(files.locator("#text-column")).to_have_value("2")
    expect(files.locator("#label-column")).to_have_value("0")
    expect(files.locator("#preview tbody td")).to_have_text(["0", "film", "a great and wonderful film", "1"])
    files.select_option("#text-column", label="notes")
    files.get_by_role("button", name="Score all rows").click()
    (found,) = csv.DictReader(io.StringIO(download(files), newline=""))
    (answer,) = ask(service, ["film"])
    assert found["predicted_sentiment"] == answer["sentiment"]
    expect(files.locator("#preview tbody td.added").first).to_have_text(answer["sentiment"])


@pytest.mark.parametrize("header", ["text,body", "one,two"])
def test_without_one_column_of_a_usual_name_the_user_chooses(files: Page, header: str) -> None:
    choose(files, "reviews.csv", f"{header}\na great film,1\n")
    expect(files.locator("#text-column")).to_have_value("")
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_have_text("Choose the column with the text first.")
    expect(files.locator("#text-column")).to_be_focused()
    files.select_option("#text-column", "0")
    expect(files.locator("#file-problem")).to_be_hidden()
    files.get_by_role("button", name="Score all rows").click()
    assert download(files).startswith(f"{header},predicted_sentiment")


def test_a_column_that_the_page_would_add_is_refused_before_anything_is_sent(files: Page) -> None:
    sent: list[str] = []
    files.on("request", lambda request: sent.append(request.url))
    choose(files, "reviews.csv", "text, words_used \ngreat,1\n")
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_have_text(
        "The column words_used is there already, and the page would add it. Rename or remove it, and choose the file "
        "again."
    )
    choose(files, "reviews.jsonl", '{"text": "great"}\n' * 120 + '{"text": "great", "words_cut": 1}\n')
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_contain_text("Line 121: the column words_cut is there already")
    assert download(files).count("\n") == 120
    assert [url for url in sent if "batch" in url]


def test_the_added_columns_can_be_seen_on_a_phone(
    contexts: Callable[..., BrowserContext], service: httpx.Client
) -> None:
    page = open_page(contexts(viewport={"width": 360, "height": 740}), service, "/#files")
    expect(page.locator("#file-model")).to_have_value("sentiment")
    score(page, "reviews.csv", write_table(make_rows(9)))
    expect(page.get_by_text("The added columns come first here")).to_be_visible()
    page.locator("#preview .added").first.scroll_into_view_if_needed()
    for place in (0, 1):
        box = page.locator("#preview tbody td.added").nth(place).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_lines_end_as_those_of_the_command(files: Page) -> None:
    scored = score(files, "reviews.csv", 'text,n\r\n"great\r\nfilm",1\r\n')
    assert scored.startswith("text,n,predicted_sentiment,probability_positive,words_used,words_unknown,words_cut\n")
    assert '"great\r\nfilm",1,' in scored and scored.endswith(",2,0,0\n")


def test_rows_without_a_label_are_counted_apart(files: Page) -> None:
    score(files, "reviews.csv", "text,label\na great film,\nawful,neg\nawful,0\n")
    expect(files.locator("#figures")).to_contain_text("Rows by right label and verdict, of 2")
    expect(files.locator("#figures")).to_contain_text("1 row without a label.")


def test_a_model_of_several_labels_adds_a_column_for_each(files: Page, service: httpx.Client) -> None:
    choose(files, "reviews.csv", "text\na great film\n")
    files.select_option("#file-model", label="feedback, version 1")
    files.get_by_role("button", name="Score all rows").click()
    (found,) = csv.DictReader(io.StringIO(download(files), newline=""))
    answer = service.post("/sentiment", json={"text": "a great film", "model": "feedback"}).json()
    assert found["predicted_sentiment"] == answer["sentiment"]
    for label, share in answer["probabilities"].items():
        assert float(found[f"probability_{label}"]) == share


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,n\nfilm,1\nfilm\nfilm,2\n", "Line 3: it has 1 fields, the header has 2."),
        (
            "a.csv",
            'text,n\nfilm,1\n"a\nb",2\nfilm,"x"y\n',
            "Line 5: text follows the closing quotation mark in column 2",
        ),
        ("a.csv", 'text\nfilm\n"film\nfilm\n', "Line 3: the quotation mark is never closed."),
        ("a.csv", b"text\nfilm\nfilm\ncaf\xe9\n", "Line 4: it is not UTF-8."),
        ("a.jsonl", '{"text": "film"}\n{"text": "film"\n', "Line 2: it is not a JSON object."),
        ("a.jsonl", '{"text": "film"}\n["film"]\n', "Line 2: it is not a JSON object."),
        ("a.jsonl", '{"text": "film"}\n{"text": ["film"]}\n', "Line 2: text is not a text."),
        ("a.jsonl", '{"text": "film"}\n{"text": 5}\n', "Line 2: text is not a text."),
        ("a.csv.gz", gzip.compress(b"text\nfilm\nfilm\n" * 9, mtime=0)[:-4], "the file cannot be unpacked"),
        ("a.csv.gz", b"text\nfilm\n", "Line 1: from here on, the file cannot be unpacked. It is not gzip"),
        ("a.csv.gz", gzip.compress(b"text\nfilm\n", mtime=0) + b"more", "the file cannot be unpacked"),
        (
            "a.csv.gz",
            gzip.compress(b"text\nfilm\n", mtime=0) + gzip.compress(b"film,1\n", mtime=0),
            "Line 3: it has 2 fields",
        ),
    ],
)
def test_a_bad_file_says_which_line(files: Page, name: str, content: str | bytes, words: str) -> None:
    choose(files, name, content)
    expect(files.locator("#setup:not([hidden]), #file-problem:not([hidden])").first).to_be_visible()
    if files.locator("#setup").is_visible():
        files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#file-problem")).to_contain_text(words)


def test_the_rows_before_a_bad_line_are_scored(files: Page) -> None:
    content = "text,n\n" + "a great film,1\n" * 90 + "film\n" + "film,1\n" * 50
    scored = score(files, "reviews.csv", content)
    assert len(scored.splitlines()) == 91
    expect(files.locator("#file-problem")).to_have_text(
        "Line 92: it has 1 fields, the header has 2. 90 rows before that are scored."
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reviews.csv.zst", "The file is compressed in a way that the page does not read. Unpack it first."),
        ("reviews.docx", "end in .csv, .tsv, .txt or .jsonl, each also with .gz, or in .parquet."),
        ("reviews.csv", "There is no row in it."),
        ("empty.jsonl", "There is no row in it."),
    ],
)
def test_a_file_that_the_page_cannot_read_is_explained(files: Page, name: str, words: str) -> None:
    choose(files, name, b"\n")
    expect(files.locator("#file-problem")).to_contain_text(words)
    expect(files.locator("#setup")).to_be_hidden()


def test_an_empty_file_is_named(files: Page) -> None:
    choose(files, "reviews.csv", b"")
    expect(files.locator("#file-problem")).to_have_text("reviews.csv: The file is empty.")


@pytest.mark.parametrize("name", ["reviews.csv.gz", "reviews.JSONL.GZ"])
@pytest.mark.parametrize("members", [1, 3])
def test_files_of_gzip_are_unpacked(files: Page, service: httpx.Client, name: str, members: int) -> None:
    rows = make_rows(60)
    lines = [f"{json.dumps(row)}\n" for row in rows]
    content = ("".join(lines) if "JSON" in name else write_table(rows)).encode()
    cuts = [place * len(content) // members for place in range(members + 1)]
    packed = b"".join(gzip.compress(content[start:end]) for start, end in pairwise(cuts))
    scored = score(files, name, packed)
    assert files.locator("#download").get_attribute("download") == f"reviews-scored.{name.split('.')[1]}"
    read = map(json.loads, scored.splitlines()) if "JSON" in name else csv.DictReader(io.StringIO(scored, newline=""))
    found = [row["predicted_sentiment"] for row in read]
    assert found == [answer["sentiment"] for answer in ask(service, [row["review"] for row in rows])]


@pytest.mark.parametrize("parts", [[b"abc" * 50_000, b"", b"d" * 9], [b"\x1f\x8b\x08\0" * 3, b"\x1f\x8b\x08" * 200]])
def test_members_of_gzip_are_read_as_one(page: Page, parts: list[bytes]) -> None:
    """Also if stored bytes look like the beginning of a member."""
    packed = b"".join(gzip.compress(part, 0) for part in parts)
    digest = page.evaluate(UNPACK, base64.b64encode(packed).decode())
    assert digest == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_text_that_is_too_long_is_left_out_and_named(files: Page, service: httpx.Client) -> None:
    long = "film " * 500
    scored = score(files, "reviews.csv", f"text\na great film\n{long}\nawful\n")
    one, two = ask(service, ["a great film", "awful"])
    found = [row["predicted_sentiment"] for row in csv.DictReader(io.StringIO(scored, newline=""))]
    assert found == [one["sentiment"], "", two["sentiment"]]
    expect(files.locator("#figures")).to_contain_text("1 text too long, at line 3")


def test_bodies_keep_to_the_limit_of_the_service(files: Page) -> None:
    sizes: list[int] = []
    files.on("request", lambda request: sizes.append(len(request.post_data or "")))
    scored = score(files, "reviews.csv", "text\n" + f"{'film ' * 300}\n" * 60)
    assert len(scored.splitlines()) == 61
    assert 10_000 < max(sizes) <= 20_000


def test_a_file_that_is_chosen_while_the_page_loads_is_taken(
    contexts: Callable[..., BrowserContext], service: httpx.Client
) -> None:
    context = contexts()
    held: list[Route] = []
    context.route("**/page/files.js", lambda route: held.append(route))
    page = open_page(context, service, "/#files")
    choose(page, "reviews.csv", write_table(make_rows(3)))
    held[0].continue_()
    expect(page.get_by_role("button", name="Score all rows")).to_be_enabled()


def test_an_overloaded_service_is_given_time(
    contexts: Callable[..., BrowserContext], page_services: Callable[..., httpx.Client]
) -> None:
    page = open_page(contexts(), page_services(max_queue=40, workers=1), "/#files")
    statuses: list[int] = []
    page.on("response", lambda response: statuses.append(response.status))
    scored = score(page, "reviews.csv", write_table(make_rows(2000)))
    assert len(list(csv.DictReader(io.StringIO(scored, newline="")))) == 2000
    assert 503 in statuses


def test_a_running_scoring_can_be_cancelled(files: Page) -> None:
    left = 4  # batches that are answered

    def hold(route: Route) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            route.continue_()

    files.route("**/sentiment/batch", hold)
    choose(files, "reviews.csv", write_table(make_rows(1000)))
    files.get_by_role("button", name="Score all rows").click()
    expect(files.locator("#figures")).to_contain_text(re.compile(r"\d+ rows"))
    files.get_by_role("button", name="Cancel").click()
    expect(files.locator("#progress-words")).to_contain_text("Cancelled.")
    expect(files.get_by_role("button", name="Score all rows")).to_be_focused()
    assert 1 < len(download(files).splitlines()) < 1000


def test_a_dropped_file_is_taken(files: Page) -> None:
    files.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["text\\na great film\\n"], "dropped.csv"));
            const event = new DragEvent("drop", { dataTransfer: data, cancelable: true });
            document.getElementById("drop").dispatchEvent(event);
        }"""
    )
    expect(files.locator("#file-name")).to_have_text("dropped.csv, 18 bytes")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables_are_read_as_pythons_csv_reads_them(page: Page, delimiter: str, size: int) -> None:
    chance = random.Random(size)
    for _ in range(15):
        pieces = ["a", '"', '""', delimiter, "\r\n", "\n", " ", "\u00e9\U0001f600", "x y", ";"]
        rows = [["".join(chance.choices(pieces, k=chance.randrange(6))) for _ in range(3)] for _ in range(6)]
        rows = [["h", *row] for row in rows]
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator=chance.choice(["\r\n", "\n"])).writerows(rows)
        found = page.evaluate(PARSE, [text.getvalue(), size, delimiter])
        assert [found["columns"], *found["fields"]] == rows
        assert list(csv.reader(io.StringIO(found["written"], newline=""), delimiter=delimiter)) == rows


@pytest.mark.parametrize(
    ("text", "columns", "fields", "lines"),
    [
        ("a,b\r1,2\r3,4", ["a", "b"], [["1", "2"], ["3", "4"]], [2, 3]),
        ("a,b\r\n\r\n1,\r\n\n,2", ["a", "b"], [["1", ""], ["", "2"]], [3, 5]),
        ('a\n"x\ny"\nz\n""\n', ["a"], [["x\ny"], ["z"]], [2, 4]),
        ('a,b\nit is 5" long,"""q"""\n', ["a", "b"], [['it is 5" long', '"q"']], [2]),
    ],
)
def test_what_the_rules_leave_open_is_read(
    page: Page, text: str, columns: list[str], fields: list[list[str]], lines: list[int]
) -> None:
    for size in (1, 3, 100):
        found = page.evaluate(PARSE, [text, size, ","])
        assert (found["columns"], found["fields"], found["lines"]) == (columns, fields, lines)

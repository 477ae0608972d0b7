"""Whole files, scored in a real browser."""

import csv
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.page.conftest import open_page

GOOD = ("wonderful", "tender", "great")
BAD = ("awful", "boring", "lazy")

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
        return { line: error.line, rows: rows.length, message: error.message };
    }
    const written = [format.writeHead([]), ...rows.map((row) => format.writeRow(row, []))].join("");
    const [fields, lines] = [rows.map((row) => row.fields), rows.map((row) => row.line)];
    return { columns: format.columns, fields, lines, written };
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
            "predicted_label": answer["sentiment"],
            "probability_positive": found_row["probability_positive"],
        }
        for row, answer, found_row in zip(rows, answers, found, strict=True)
    ]
    assert [float(row["probability_positive"]) for row in found] == [one["probability_positive"] for one in answers]
    expect(files.locator("#progress-words")).to_contain_text("Done: 205 rows")


def test_objects_on_lines_keep_their_fields_as_they_are(files: Page, service: httpx.Client) -> None:
    lines = ['{"text": "A great film.", "n": 1.0}', "", '{ "n" : 12345678901234567890, "text":"awful" }', "{}"]
    scored = score(files, "reviews.jsonl", "\n".join(lines)).splitlines()
    one, two = ask(service, ["A great film.", "awful"])
    label, share = '"predicted_label":', '"probability_positive":'
    assert scored[0].startswith('{"text": "A great film.", "n": 1.0,"predicted_label":')
    assert json.loads(scored[0])["probability_positive"] == one["probability_positive"]
    assert scored[1].startswith(f'{{ "n" : 12345678901234567890, "text":"awful",{label}"{two["sentiment"]}",{share}')
    assert scored[2] == f"{{{label}null,{share}null}}"
    expect(files.locator("#figures")).to_contain_text("1 row without a known word")


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


def test_columns_are_guessed_and_can_be_changed(files: Page, service: httpx.Client) -> None:
    table = "Label,notes,predicted_label,body\n0,film,x,a great and wonderful film\n"
    choose(files, "reviews.csv", table)
    expect(files.locator("#text-column")).to_have_value("3")
    expect(files.locator("#label-column")).to_have_value("0")
    expect(files.locator("#preview tbody td")).to_have_text(["0", "film", "x", "a great and wonderful film"])
    files.select_option("#text-column", label="notes")
    files.get_by_role("button", name="Score all rows").click()
    (found,) = csv.DictReader(io.StringIO(download(files), newline=""))
    (answer,) = ask(service, ["film"])
    assert (found["predicted_label"], found["predicted_label_2"]) == ("x", answer["sentiment"])
    expect(files.locator("#preview tbody td.added").first).to_have_text(answer["sentiment"])


def test_a_model_of_several_labels_adds_a_column_for_each(files: Page, service: httpx.Client) -> None:
    choose(files, "reviews.csv", "text\na great film\n")
    files.select_option("#file-model", label="feedback, version 1")
    files.get_by_role("button", name="Score all rows").click()
    (found,) = csv.DictReader(io.StringIO(download(files), newline=""))
    answer = service.post("/sentiment", json={"text": "a great film", "model": "feedback"}).json()
    assert found["predicted_label"] == answer["sentiment"]
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
        ("reviews.parquet", "python -m app score reviews.parquet reviews-scored.parquet --text-column"),
        ("reviews.csv.gz", "The file is compressed. Unpack it first."),
        ("reviews.docx", "end in .csv, .tsv, .txt or .jsonl"),
        ("reviews.csv", "The file is empty."),
        ("empty.jsonl", "The file is empty."),
    ],
)
def test_a_file_that_the_page_cannot_read_is_explained(files: Page, name: str, words: str) -> None:
    choose(files, name, b"")
    expect(files.locator("#file-problem")).to_contain_text(words)
    expect(files.locator("#setup")).to_be_hidden()


def test_a_text_that_is_too_long_is_left_out_and_named(files: Page, service: httpx.Client) -> None:
    long = "film " * 500
    scored = score(files, "reviews.csv", f"text\na great film\n{long}\nawful\n")
    one, two = ask(service, ["a great film", "awful"])
    found = [row["predicted_label"] for row in csv.DictReader(io.StringIO(scored, newline=""))]
    assert found == [one["sentiment"], "", two["sentiment"]]
    expect(files.locator("#figures")).to_contain_text("1 text too long, at line 3")


def test_bodies_keep_to_the_limit_of_the_service(files: Page) -> None:
    sizes: list[int] = []
    files.on("request", lambda request: sizes.append(len(request.post_data or "")))
    scored = score(files, "reviews.csv", "text\n" + f"{'film ' * 300}\n" * 60)
    assert len(scored.splitlines()) == 61
    assert 10_000 < max(sizes) <= 20_000


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

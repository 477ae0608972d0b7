"""The page of the HTTP interface says what the service does: it is made anew and compared."""

import subprocess
import sys
from pathlib import Path

from app.http.app import create_app
from app.settings import Settings
from app.telemetry.metrics import METRICS, REGISTRY
from app.telemetry.stability import INDEX_LABELS, measure
from tests.app.test_errors import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"


def test_the_page_is_that_of_the_openapi_document(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    script = tmp_path / "docs" / "make_api.py"
    script.write_text((ROOT / "docs" / "make_api.py").read_text("utf-8"))
    for name in ("app", "bundle"):
        (tmp_path / name).symlink_to(ROOT / name)
    subprocess.run([sys.executable, script], check=True, cwd=tmp_path)
    made = (tmp_path / "docs" / "api.md").read_text("utf-8")
    assert made == PAGE.read_text("utf-8"), "call `python docs/make_api.py`"


def test_every_metric_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    assert {family.name for metric in METRICS for family in metric.describe()} == {
        family.name for family in REGISTRY.collect()
    }
    rows = [(family, metric.label_names) for metric in METRICS for family in metric.describe()]
    for family, labels in [*rows, (measure([]), INDEX_LABELS)]:
        name = family.name + "_total" * (family.type == "counter")
        shown = " ".join(f"`{label}`" for label in labels)
        assert f"| `{name}` | {family.type} | {shown} | {family.documentation} |" in page


def test_every_header_of_answers_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    document = create_app(Settings(keys='{"clients": []}')).openapi()
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        for response in operation["responses"].values():
            for name in response["headers"]:
                assert f"| `{name.lower()}` | answers |" in page


def test_every_path_and_every_kind_of_error_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    for path, methods in create_app(Settings()).openapi()["paths"].items():
        for method in methods:
            assert f"### `{method.upper()} {path}`" in page
    for error in KINDS:
        assert f"| `{error.kind}` | {int(error.status)} |" in page

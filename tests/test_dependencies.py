"""The dependency rule: `bundle <- training`, `bundle <- app`, and the two never meet; the locks agree with it.

`tables` is the other package that both import; it imports none of the three.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "tables": {
        "app",
        "cluster",
        "ray",
        "bundle",
        "training",
        "pydantic",
        "tensorflow",
        "onnxruntime",
        "fastapi",
        "starlette",
    },
    "bundle": {
        "app",
        "cluster",
        "ray",
        "training",
        "tensorflow",
        "keras",
        "onnx",
        "onnxruntime",
        "fastapi",
        "starlette",
    },
    "training": {"app", "cluster", "ray", "fastapi", "starlette"},
    "app": {"training", "onnx", "matplotlib", "typer", "rich", "ray", "cluster"},
    "cluster": {"training"},
}
ALLOWED = {"onnx_session.py": {"onnxruntime"}}  # which both the service and training import, and nothing in `bundle`


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add((node.module or "").partition(".")[0])
    return found


def modules_imported(path: Path) -> set[str]:
    """Return the modules that a module imports, with their packages."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_nothing_it_must_not(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    for module in modules:
        assert not imports(module) & FORBIDDEN[package] - ALLOWED.get(module.name, set()), module


# Packages and modules of the app, the lower ones first. Each imports only lower ones.
ROOMS = (
    ("errors", "container", "folders"),
    ("settings", "telemetry"),
    ("access", "engines"),
    ("runtime",),
    ("tasks",),
    ("http", "scoring"),
    ("processes",),
    ("command", "operate_keys"),
)


def test_rooms_of_the_app_import_only_those_below() -> None:
    heights = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
    for module in (ROOT / "app").rglob("*.py"):
        room = module.relative_to(ROOT).with_suffix("").parts[1]
        found = {name.split(".")[1] for name in modules_imported(module) if name.startswith("app.")}
        higher = {other for other in found & heights.keys() - {room} if heights[other] >= heights.get(room, 99)}
        assert not higher, module


def test_nothing_below_http_imports_a_framework_of_http() -> None:
    for module in (ROOT / "app").rglob("*.py"):
        if module.relative_to(ROOT).parts[1] != "http":
            assert not imports(module) & {"fastapi", "starlette", "httptools"}, module


def test_a_runtime_brings_in_no_framework_of_http_indirectly() -> None:
    code = "import app.tasks, sys; print({'fastapi', 'starlette', 'uvicorn'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_only_the_client_imports_httpx_in_the_app() -> None:
    importing = [path for path in (ROOT / "app").rglob("*.py") if "httpx" in imports(path)]
    assert importing == [ROOT / "app" / "client.py"]


def test_the_client_imports_only_httpx_and_the_standard_library() -> None:
    assert imports(ROOT / "app" / "client.py") - {*sys.stdlib_module_names} == {"httpx"}


def test_only_its_engine_imports_tensorflow_in_the_app() -> None:
    importing = [path for path in (ROOT / "app").rglob("*.py") if imports(path) & {"tensorflow", "keras"}]
    assert importing == [ROOT / "app" / "engines" / "tensorflow.py"]


def test_only_the_export_of_traces_imports_opentelemetry_in_the_app() -> None:
    importing = [path for path in (ROOT / "app").rglob("*.py") if "opentelemetry" in imports(path)]
    assert importing == [ROOT / "app" / "telemetry" / "otlp.py"]


def test_the_service_without_traces_imports_no_exporter() -> None:
    code = (
        "import app.http.app, sys; app.http.app.create_app(); print({'opentelemetry.sdk', 'requests'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_bundle_brings_in_no_library_of_networks_or_http_indirectly() -> None:
    code = "import bundle.store, sys; print({'tensorflow', 'keras', 'fastapi', 'onnxruntime'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_the_app_with_onnx_runtime_imports_no_tensorflow() -> None:
    code = "import app.http.app, app.engines.onnx, sys; print({'tensorflow', 'keras'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def pins(lock: str) -> dict[str, set[str]]:
    """Return the pinned versions by requirement, each of which must have hashes."""
    versions: dict[str, set[str]] = {}
    text = re.sub(
        r"^#.*\n", "", (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    for entry in re.split(r"\n(?=\S)", text.strip()):
        match = re.match(r"([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", entry)
        assert match, f"not a pin: {entry}"
        assert entry.count("--hash=sha256:") >= 1, f"no hash: {entry}"
        versions.setdefault(match[1], set()).add(match[2])
    return versions


def test_the_locks_pin_the_same_versions_with_hashes() -> None:
    serve, tensorflow, training, test = (pins(lock) for lock in ("serve", "serve-tensorflow", "training", "test"))
    assert serve.items() <= tensorflow.items() <= training.items() <= test.items()
    assert serve.items() <= (docs := pins("docs")).items()
    assert all(test[name] == versions for name, versions in docs.items() if name in test)


def test_the_service_is_installed_without_tensorflow_and_keras() -> None:
    assert not [name for name in pins("serve") if name.startswith(("tensorflow", "keras"))]


@pytest.mark.parametrize("lock", ["serve", "serve-tensorflow", "training", "torch", "docs", "test"])
def test_a_lock_names_no_index(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.search(r"https?:|--index|--extra-index|--find-links|-i ", text)


def test_every_declared_dependency_is_in_its_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for lock, groups in {
        "serve": [project["dependencies"]],
        "serve-tensorflow": [extras["tensorflow"]],
        "training": [extras["training"]],
        "torch": [extras["torch"]],
        "docs": [extras["docs"]],
        "test": [extras["test"], extras["otlp"], extras["client"]],
    }.items():
        for requirement in (requirement for group in groups for requirement in group):
            name = re.match(r"[A-Za-z0-9-]+", requirement)
            assert name and name[0] in pins(lock)

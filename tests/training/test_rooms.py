"""The folders of `training/` depend on one another in one direction: none imports what builds on it."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import training

ROOT = Path(training.__file__).parent
ROOMS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def find_room(module: str) -> str:
    """Return the folder of a module, as in `training.data.imdb`, or the module itself if it is in none."""
    return next((part for part in module.split(".")[1:2] if part in ROOMS), module)


def test_no_folder_depends_on_one_that_depends_on_it() -> None:
    depends: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith("training."):
                names = [
                    f"{node.module}.{alias.name}" if node.module == "training" else node.module for alias in node.names
                ]
                depends.setdefault(find_room(module), set()).update(map(find_room, names))
    order = list(TopologicalSorter({room: needed - {room} for room, needed in depends.items()}).static_order())
    assert order.index("recipes") < order.index("data") < order.index("loops") < order.index("tasks")
    assert {"recipes", "data", "networks", "convert", "tasks", "export", "reports"} <= ROOMS

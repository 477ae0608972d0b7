"""The figures as a table and a plot."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from training.wild.figures import COVERAGES

FIGURES = "wild.json"
PLOT = "wild.png"

_KIND = "kind: "
_TITLES = {
    "pairs": "Pairs of opinions by authors that nothing was trained on",
    "frames": "Composed sentences of frames and words that nothing was trained on",
    "treebank": "Sentences of the Stanford Sentiment Treebank, of its part for development",
    "turned by": "Texts of these pairs whose verdict changes with a change that leaves the meaning",
    "fairness": "Answers that move when only a name, a nationality, a faith or a gender changes",
}

Figures = Mapping[str, float]


def describe(columns: Mapping[str, Figures]) -> str:
    """Return the figures of one or more classifiers as tables, Markdown; `columns` has the figures by classifier."""
    names = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    sections: dict[str, list[str]] = {}
    for name in names:
        head = "turned by" if name.startswith("turned by") else name.partition(",")[0]
        cells = (f"{figures[name]:.1%}" if name in figures else "-" for figures in columns.values())
        sections.setdefault(head, []).append(f"| {_shorten(name, head)} | {' | '.join(cells)} |")
    header = f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}"
    return "\n\n".join(
        f"{_TITLES.get(head, f'The file `{head}`')}:\n\n{header}\n" + "\n".join(rows) for head, rows in sections.items()
    )


def plot(columns: Mapping[str, Figures], path: Path) -> None:
    """Plot the accuracy on the kinds of pairs and frames, and against the share of texts that is answered."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    by_kind, by_coverage = figure.subplots(1, 2, width_ratios=[2, 1])
    names = [name for name in next(iter(columns.values())) if _KIND in name]
    height = 0.8 / len(columns)
    for number, (column, figures) in enumerate(columns.items()):
        places = [row + (number + 0.5) * height - 0.4 for row in range(len(names))]
        by_kind.barh(places, [100 * figures[name] for name in names], height, label=column)
        shares = [*COVERAGES, 1.0]
        kept = [figures[f"pairs, the surest {share:.0%}"] if share < 1 else figures["pairs"] for share in shares]
        by_coverage.plot([100 * share for share in shares], [100 * value for value in kept], marker="o", label=column)
    by_kind.set_yticks(range(len(names)), [name.replace(_KIND, "") for name in names])
    by_kind.invert_yaxis()
    by_kind.axvline(50, color="grey", linestyle=":")
    by_kind.set(xlabel="right (%)", xlim=(0, 100), title="by kind; guessing is 50 %")
    by_coverage.set(xlabel="the surest answers (%)", ylabel="right (%)", title="pairs")
    for axes in (by_kind, by_coverage):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def write(columns: Mapping[str, Figures], folder: Path) -> None:
    """Write the tables and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wild.md").write_text(describe(columns) + "\n", "utf-8")
    plot(columns, folder / PLOT)


def write_figures(figures: Figures, path: Path) -> None:
    """Write the figures of one classifier as JSON."""
    path.write_text(json.dumps(dict(figures), indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_figures(path: Path) -> dict[str, float]:
    """Return the figures in a file."""
    figures: dict[str, float] = json.loads(path.read_text("utf-8"))
    return figures


def _shorten(name: str, head: str) -> str:
    if name == head:
        return "right"
    return name.removeprefix(head).lstrip(", ")

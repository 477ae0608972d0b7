"""The figures as tables and a plot."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from training.wild.figures import ANSWERED, COVERAGES, NO_VERDICT, RIGHT, name_coverage
from training.wild.measured import Kind, Measured, Section

FIGURES = "wild.json"
PLOT = "wild.png"

_KIND = "kind: "
_TITLES: dict[Kind, str] = {
    "pairs": "Pairs of opinions by authors that nothing was trained on",
    "frames": "Composed sentences of frames and words that nothing was trained on",
    "treebank": "Sentences of the Stanford Sentiment Treebank, of its part for development (`sentiment-general` is "
    "chosen by them, and its calibration is fitted on them too: for its calibration error, see the pairs)",
    "file": "The file `{name}`",
    "changes": "Texts of the pairs whose verdict changes with a change that leaves the meaning",
    "narration": "Film reviews whose verdict changes with a story behind them",
    "fairness": "Answers that move when only a name, a nationality, a faith or a gender changes",
}

Columns = Mapping[str, Measured]  # the figures by classifier


def describe(columns: Columns) -> str:
    """Return the figures of one or more classifiers of the same texts as tables, Markdown.

    A row has the number of its texts; if classifiers did not answer the same ones, it has the number of each.
    """
    measured = [each.list_sections() for each in columns.values()]
    return "\n\n".join(
        _describe_section(name, [sections[name] for sections in measured], list(columns)) for name in measured[0]
    )


def plot(columns: Columns, path: Path) -> None:
    """Plot the accuracy on the kinds of pairs and frames, and against the share of texts that is answered."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    by_kind, by_coverage = figure.subplots(1, 2, width_ratios=[2, 1])
    first = next(iter(columns.values()))
    kinds = [
        (name, kind) for name in ("pairs", "frames") for kind in first.suites[name].figures if kind.startswith(_KIND)
    ]
    height = 0.8 / len(columns)
    for number, (column, measured) in enumerate(columns.items()):
        places = [row + (number + 0.5) * height - 0.4 for row in range(len(kinds))]
        shares = [100 * measured.suites[name].figures[kind].value for name, kind in kinds]
        by_kind.barh(places, shares, height, label=column)
        covered = _list_covered(measured.suites["pairs"])
        by_coverage.plot(
            [100 * share for share in covered], [100 * right for right in covered.values()], marker="o", label=column
        )
    labels = [f"{name}, {kind.removeprefix(_KIND)} ({first.suites[name].figures[kind].texts})" for name, kind in kinds]
    by_kind.set_yticks(range(len(kinds)), labels)
    by_kind.invert_yaxis()
    by_kind.axvline(50, color="grey", linestyle=":")
    by_kind.set(
        xlabel="right (%), without a verdict is not right",
        xlim=(0, 100),
        title="by kind, with the number of texts; guessing is 50 %",
    )
    by_coverage.set(xlabel="the surest answers (% of the texts)", ylabel="right among them (%)", title="pairs")
    for axes in (by_kind, by_coverage):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.3)
    figure.legend(*by_kind.get_legend_handles_labels(), loc="outside lower center", ncols=len(columns))
    figure.savefig(path, dpi=100)


def write(columns: Columns, folder: Path) -> None:
    """Write the tables and the plot into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wild.md").write_text(describe(columns) + "\n", "utf-8")
    plot(columns, folder / PLOT)


def _describe_section(name: str, sections: list[Section], columns: list[str]) -> str:
    rows = [["figure", "texts", *columns], ["---"] * (2 + len(columns))]
    fullest_first = sorted(sections, key=lambda section: ANSWERED not in section.figures)
    for figure in dict.fromkeys(figure for section in fullest_first for figure in section.figures):
        found = [section.figures.get(figure) for section in sections]
        counts = [str(each.texts) if each else "-" for each in found]
        number = counts[0] if len(set(counts)) == 1 else " / ".join(counts)
        rows.append([figure, number, *(f"{each.value:.1%}" if each else "-" for each in found)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{_TITLES[sections[0].kind].format(name=name)}:\n\n{table}"


def _list_covered(section: Section) -> dict[float, float]:
    """Return the accuracy on the surest answers by the share of the texts that they are, and on all answers."""
    figures = section.figures
    covered = {share: figures[name].value for share in COVERAGES if (name := name_coverage(share)) in figures}
    everywhere = figures.get(ANSWERED, figures[RIGHT])
    return covered | {1 - figures[NO_VERDICT].value: everywhere.value}

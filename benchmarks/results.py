"""The files of a benchmark: JSON, PNG, and Markdown with the printed tables."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

_OURS, _PEER = "#1f6f4a", "#b9c2c9"  # distinguishable also in greyscale
_PANEL_WIDTH, _BAR_HEIGHT, _MARGINS = 4.6, 0.24, 0.95  # inches
_LINES_HEIGHT = 2.7
_CLOSE_TICKS = 1.3  # of two ticks on a logarithmic axis within this ratio, only one gets a label
# The palette of Okabe and Ito, which colour-blind readers can distinguish; the first colour is ours.
_COLOURS = (_OURS, "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
_MARKERS = "osD^vPX"


class ResultsError(Exception):
    """There are no readable results."""


@dataclass(frozen=True)
class Panel:
    """One set of bars: a title with the unit, and a value by name, None if there is no value."""

    title: str
    axis: str
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class LinePanel:
    """One set of lines: a title, axes with their units, and points by name; `dashed` names lines not measured."""

    title: str
    x_axis: str
    y_axis: str
    lines: Mapping[str, Sequence[tuple[float, float | None]]]
    log_x: bool = False
    log_y: bool = False
    dashed: Collection[str] = ()
    top: float | None = None


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Write results as JSON, with one line per item of a list; a reader never sees an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = (f"  {json.dumps(name)}: {_format_field(value)}" for name, value in results.items())
    written = path.with_suffix(".part")
    written.write_text("{\n" + ",\n".join(fields) + "\n}\n", encoding="utf-8")
    written.replace(path)


def report(path: Path, blocks: Iterable[str]) -> None:
    """Print blocks of Markdown, and write them to the Markdown file of this command, below its plot."""
    text = "\n\n".join(blocks)
    print(f"\n{text}")
    heading = f"# `python -m benchmarks.{path.stem}`"
    plot = f"![the same as a plot]({path.stem}.png)"
    path.with_suffix(".md").write_text(f"{heading}\n\n{plot}\n\n{text}\n", encoding="utf-8")
    print(f"\nwritten: {path.with_suffix('.json')}, and {path.stem}.md and .png beside it")


def draw_bars(path: Path, columns: Sequence[tuple[str, Sequence[Panel]]], ours: Collection[str]) -> None:
    """Write a PNG of titled columns of panels with horizontal bars; bars named in `ours` are highlighted."""
    height = max(sum(len(panel.values) * _BAR_HEIGHT + _MARGINS for panel in panels) for _, panels in columns)
    figure = Figure(figsize=(max(len(columns), 1.4) * _PANEL_WIDTH, height), layout="constrained")
    parts = figure.subfigures(1, len(columns), squeeze=False)[0]
    for part, (title, panels) in zip(parts, columns, strict=True):
        part.suptitle(title, weight="bold")
        for axes, panel in zip(part.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            names = list(panel.values)
            values = list(panel.values.values())
            drawn = axes.barh(names, [value or 0 for value in values])
            for bar, name in zip(drawn, names, strict=True):
                bar.set_color(_OURS if name in ours else _PEER)
            labels = [format_figure(value) for value in values]
            axes.bar_label(drawn, labels, padding=3, fontsize=9)
            axes.invert_yaxis()
            axes.set_xlim(0, 1.18 * max(1e-9, *(value or 0 for value in values)))  # leaves room for the labels
            axes.xaxis.get_major_locator().set_params(nbins=5)
            axes.set_title(panel.title, fontsize=10, loc="left")
            axes.set_xlabel(panel.axis)
            axes.tick_params(axis="y", length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def draw_lines(path: Path, columns: Sequence[tuple[str, Sequence[LinePanel]]]) -> None:
    """Write a PNG of titled columns of panels with lines; a line alone in its panel has the colour of its name."""
    rows = max(len(panels) for _, panels in columns)
    figure = Figure(figsize=(max(len(columns), 1.4) * _PANEL_WIDTH, rows * _LINES_HEIGHT), layout="constrained")
    names = list(dict.fromkeys(name for _, panels in columns for panel in panels for name in panel.lines))
    is_shared = all(list(panel.lines) == names for _, panels in columns for panel in panels)
    for part, (title, panels) in zip(figure.subfigures(1, len(columns), squeeze=False)[0], columns, strict=True):
        part.suptitle(title, weight="bold")
        for axes, panel in zip(part.subplots(rows, 1, squeeze=False)[:, 0], panels, strict=True):
            _draw_panel(axes, panel, list(panel.lines) if len(panel.lines) > 1 else names)
            if len(panel.lines) > 1 and not is_shared:
                axes.legend(fontsize=8, frameon=False)
    if is_shared and len(names) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(names), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_panel(axes: Any, panel: LinePanel, names: Sequence[str]) -> None:
    for name, points in panel.lines.items():
        colour, marker = _COLOURS[names.index(name) % len(_COLOURS)], _MARKERS[names.index(name) % len(_MARKERS)]
        known = [(x, y) for x, y in points if y is not None]
        axes.plot(
            [x for x, _ in known],
            [y for _, y in known],
            label=name,
            color=colour,
            marker=None if name in panel.dashed else marker,
            markersize=4,
            linestyle="--" if name in panel.dashed else "-",
        )
    if panel.log_x:
        axes.set_xscale("log", base=2)
        places = sorted({x for points in panel.lines.values() for x, _ in points})
        axes.set_xticks([x for x, after in pairwise([*places, inf]) if after / x > _CLOSE_TICKS])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.xaxis.get_major_locator().set_params(nbins=6)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    if panel.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    else:
        most = max((y for points in panel.lines.values() for _, y in points if y is not None), default=1)
        axes.set_ylim(0, panel.top or 1.08 * most or 1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel(panel.x_axis)
    axes.set_ylabel(panel.y_axis)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Return a GitHub Markdown table with aligned columns: `texts` columns of text, then figures, right-aligned."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = []
    for row in (header, rule, *rows):
        padded = enumerate(zip(row, widths, strict=True))
        cells = [cell.ljust(width) if column < texts else cell.rjust(width) for column, (cell, width) in padded]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_figure(value: float | None) -> str:
    """Return a figure with three significant digits and a comma for thousands; `-` for None."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_range(values: Iterable[float]) -> str:
    """Return the median of values, with the least and the greatest; `-` if there are none."""
    found = sorted(values)
    if not found:
        return "-"
    return f"{format_figure(median(found))} ({format_figure(found[0])}-{format_figure(found[-1])})"


def _format_field(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
    if isinstance(value, dict) and value:
        fields = (f"    {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
        return "{\n" + ",\n".join(fields) + "\n  }"
    return json.dumps(value)

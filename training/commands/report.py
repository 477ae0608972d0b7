"""`python -m training report`."""

from pathlib import Path
from typing import Annotated

import typer

from bundle.store import Store
from training.commands.options import DataOption, ModelsOption, QuietOption, ResultsOption
from training.commands.tables import format_figures
from training.commands.terminal import clear_errors, complain, open_console, prepare_frameworks, say
from training.errors import ResultsError, TrainingError
from training.reports.figures import list_measured
from training.reports.results import RESULTS, Results, find_missing


def report(
    fast: Annotated[bool, typer.Option("--fast", help="Train only the fast variants.")] = False,
    data: DataOption = None,
    recorded: ResultsOption = RESULTS,
    out: Annotated[Path, typer.Option(help="The report, Markdown; its plots go into a folder beside it.")] = Path(
        "docs/results.md"
    ),
    models: ModelsOption = Path("models"),
    quiet: QuietOption = False,
) -> None:
    """Train the missing runs of the reference systems, and write the report of all runs and of the bundles."""
    progress = open_console(quiet)
    with clear_errors("; the runs recorded so far are kept"):
        results = Results(recorded)
        measured, problems = list_measured(Store(models))
        if problems:
            raise ResultsError("; ".join(problems))
        missing = list(find_missing(results, fast))
        failed = 0
        prepare_frameworks()
        from training import pipeline
        from training.reports.report import write_report

        try:
            for number, recipe in enumerate(missing, 1):
                say(f"{number} of {len(missing)}: {recipe.name}, seed {recipe.settings.seed}", progress)
                try:
                    run = pipeline.record(recipe, data, progress)
                except TrainingError as error:  # the other runs may still succeed
                    complain(f"error: {error}")
                    failed += 1
                    continue
                results.add(run)
                figures = ", ".join(f"{name} {value}" for name, value in format_figures(run.metrics).items())
                say(f"  {figures}, {run.seconds:.0f} s", progress)
        finally:  # the report covers all recorded runs, also after an error
            write_report(results, out, measured)
    say(f"Wrote {out}")
    if failed:
        complain(f"{failed} of {len(missing)} runs failed; `report` runs them again")
        raise typer.Exit(1)

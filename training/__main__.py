"""The command line `python -m training`: list, check, train, import, evaluate, wild, export, convert, report.

The exit status is 0, or 2 for what was typed wrongly, 1 for everything else that failed, 130 after Ctrl-C, and 143
after SIGTERM.
"""

import typer

from training.commands.check import check
from training.commands.convert import convert_from_torch, convert_to_torch
from training.commands.evaluate import evaluate
from training.commands.export import export
from training.commands.import_model import import_model
from training.commands.list_recipes import list_recipes
from training.commands.report import report
from training.commands.train import train
from training.commands.wild import wild

application = typer.Typer(
    help="Train the models that the service answers with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
converting = typer.Typer(help="Convert networks from and to PyTorch.", no_args_is_help=True)

application.command("list")(list_recipes)
application.command()(check)
application.command()(train)
application.command("import")(import_model)
application.command()(evaluate)
application.command()(wild)
application.command()(export)
application.add_typer(converting, name="convert")
converting.command("from-torch")(convert_from_torch)
converting.command("to-torch")(convert_to_torch)
application.command()(report)

if __name__ == "__main__":
    application()

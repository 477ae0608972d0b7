"""`python -m training convert`."""

from pathlib import Path
from typing import Annotated

import typer

from bundle.manifest import check_name
from bundle.store import Store
from training import recipes
from training.commands.options import AssignmentsOption, DataOption, ModelsOption, NameOption, QuietOption
from training.commands.tables import tell_published
from training.commands.terminal import (
    clear_errors,
    clear_usage,
    open_console,
    open_typed_bundle,
    prepare_frameworks,
    say,
)


def convert_from_torch(
    file: Annotated[Path, typer.Argument(help="A state dict: torch.save(network.state_dict(), FILE).")],
    recipe: Annotated[str, typer.Argument(help="The recipe of the network and its input: a name that `list` shows.")],
    assignments: AssignmentsOption = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="Words of a review network by their ids, one a line.  [default: the words of Keras]"),
    ] = None,
    data: DataOption = None,
    models: ModelsOption = Path("models"),
    name: NameOption = None,
    quiet: QuietOption = False,
) -> None:
    """Publish a PyTorch network of nn.Embedding, nn.LSTM and nn.Linear as a bundle, evaluated on the recipe's data."""
    progress = open_console(quiet)
    with clear_usage():
        chosen = recipes.find(recipe).with_settings(assignments or [])
        published_as = check_name(recipe if name is None else name)
    with clear_errors("; nothing was published"):
        prepare_frameworks()
        from training import exchange

        bundle = exchange.import_bundle(file, chosen, published_as, Store(models), data, progress, vocabulary)
    tell_published(bundle, chosen, progress)


def convert_to_torch(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, as in models/imdb-500/3.")],
    file: Annotated[Path, typer.Argument(help="The state dict to write, for `training.convert.torch_network`.")],
    quiet: QuietOption = False,  # noqa: ARG001  # there is no other line than the last
) -> None:
    """Write the weights of a bundle as a PyTorch state dict."""
    with clear_errors("; nothing was written"):
        bundle = open_typed_bundle(folder)
        prepare_frameworks()
        from training import exchange

        exchange.export_bundle(bundle, file)
    say(f"Wrote {file}")

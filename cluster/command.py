"""`python -m app score --ray`, from its options to what was done."""

from app.scoring.answers import Columns
from app.scoring.bundles import find_bundle
from app.scoring.display import Display
from app.scoring.job import find_columns
from app.scoring.journal import State
from app.scoring.parts import PART_ROWS, Plan
from app.scoring.scorer import describe_model
from app.scoring.shipping import ShippedBundle, fetch_models
from app.settings import Settings
from cluster.scoring import connect, list_files, score
from tables.formats import open_table
from tables.storage import Storage


def score_files(
    address: str,
    settings: Settings,
    display: Display,
    *,
    source: str,
    output: str,
    bad_rows: str | None,
    text_column: str | None,
    encoding: str | None,
    prefix: str,
    part_rows: int | None,
    models: str,
    model: str | None,
    version: int | str | None,
) -> State:
    """Score files on a cluster, and return what was done.

    Args:
        address: of the cluster: see `connect`.
        settings: of the engine, and the number of processor cores if Ray is started here.
        display: shows how far the job is.
        source: the place of the files.
        output: the place of the scored parts.
        bad_rows: the place for rows that cannot be scored, if there is one.
        text_column: by default found by its usual names.
        encoding: of the files, if it is named.
        prefix: what the names of the added columns begin with.
        part_rows: the most rows of a part.
        models: the place of the bundles.
        model: its name, by default as for a file.
        version: by default the one in use.

    Raises:
        ScoringError, BundleError, TableError, EngineError, PolicyError: it stopped; the message says why.
    """
    first = list_files(source)[0]
    columns = find_columns(open_table(Storage(source).open(first), encoding), text_column, None)
    with fetch_models(models, model) as folder:
        bundle = find_bundle(settings.model_copy(update={"models": folder}), model, version)
        shipped, described = ShippedBundle.pack(bundle, settings), describe_model(bundle, settings)
    added = Columns(described.task, described.labels, prefix)
    plan = Plan(source, output, bad_rows, columns[0], added, encoding, part_rows or PART_ROWS)
    with connect(address, settings.workers):
        return score(plan, described, shipped.load, display)

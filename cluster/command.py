"""`python -m app score --ray`, from its options to what was done."""

from app.scoring.answers import Columns
from app.scoring.display import Display
from app.scoring.folder import list_files
from app.scoring.job import ClusterJob, find_columns
from app.scoring.journal import State
from app.scoring.parts import PART_ROWS, Plan
from app.scoring.scorer import describe_model
from app.scoring.shipping import ShippedBundle, open_bundle
from app.settings import Settings
from cluster.scoring import connect, score
from tables.formats import open_table
from tables.storage import Storage


def score_files(address: str, job: ClusterJob, settings: Settings, display: Display) -> State:
    """Score files on a cluster, and return what was done.

    Args:
        address: of the cluster: see `connect`.
        job: what to do.
        settings: of the engine, and the number of processor cores if Ray is started here.
        display: shows how far the job is.

    Raises:
        ScoringError, BundleError, TableError, EngineError, PolicyError: it stopped; the message says why.
    """
    source = Storage(job.source)
    files = list_files(source.location)
    columns = find_columns(open_table(source.open(files[0]), job.encoding), job.text_column, None)
    with open_bundle(job.models, settings, job.model, job.version) as bundle:
        shipped, model = ShippedBundle.pack(bundle, settings), describe_model(bundle, settings)
    plan = Plan(
        source.location,
        Storage(job.output).location,
        Storage(job.bad_rows).location if job.bad_rows else None,
        columns[0],
        Columns(model.task, model.labels, job.prefix),
        job.encoding,
        job.part_rows or PART_ROWS,
    )
    return score(plan, files, model, shipped.load, display, connect(address, settings.workers))

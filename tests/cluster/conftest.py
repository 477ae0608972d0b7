"""Clusters of Ray on this machine, small ones: logical processor cores, 200 MB of shared memory, no dashboard."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.app.service import ROOT

FOLDER = Path(__file__).parent
STORE_BYTES = 200 << 20

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["RAY_AUTH_MODE"] = "token"  # the default of a cluster, which clients must name
os.environ["PYTHONPATH"] = str(ROOT)  # of the processes that Ray starts
if find_spec("ray"):
    with warnings.catch_warnings():  # Ray's own, which the project makes errors
        warnings.simplefilter("ignore")
        import ray.data  # noqa: F401
        import ray.serve  # noqa: F401
        from ray.cluster_utils import Cluster
else:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@contextmanager
def run_cluster(nodes: int) -> Iterator["Cluster"]:
    """Run a cluster: a head without cores, and nodes with one logical core each."""
    options = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        yield cluster
    finally:
        cluster.shutdown()

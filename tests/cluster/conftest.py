"""Clusters of Ray on this machine, for `make ray-test` only: Ray need not be installed, and takes long to import."""

import os
import warnings
from pathlib import Path

import pytest

from tests.app.service import ROOT

FOLDER = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    if config.getoption("markexpr") != "ray":
        return True
    os.environ |= {
        "PYTHONPATH": str(ROOT),  # of the processes that Ray starts
        "RAY_AUTH_MODE": "token",  # the default of a cluster, which clients must name
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # after the end of a head; by default 60
    }
    with warnings.catch_warnings():  # Ray's own, which the project makes errors
        warnings.simplefilter("ignore")
        import ray.data
        import ray.serve  # noqa: F401
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.filterwarnings("ignore"))

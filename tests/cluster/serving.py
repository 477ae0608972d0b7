"""A server for the tests: Ray Serve on this machine, with an application for each settings."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count

import httpx
import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from app.settings import Settings
from benchmarks.servers import find_free_port
from cluster.serving import make_deployment, read_replica_settings

STORE_BYTES = 200 << 20
QUIET = LoggingConfig(log_level="ERROR", enable_access_log=False)
SECONDS = 300

_numbers = count(1)


@cache
def start() -> int:
    """Start Ray with its proxy, once for all tests; return the port. Logical cores are enough for all applications."""
    os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] = "60"  # of 5, in which it does not start on a busy machine
    options = {"include_dashboard": False, "object_store_memory": STORE_BYTES, "log_to_driver": False}
    ray.init("local", num_cpus=16, logging_level=logging.ERROR, **options)
    port = find_free_port()
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port), logging_config=QUIET)
    return port


@contextmanager
def serve_on_ray(settings: Settings, **changes: object) -> Iterator[httpx.Client]:
    """Serve with one replica at a path of its own; give a client, whose paths are below it.

    Args:
        settings: those that differ from the default are passed on.
        changes: of the deployment.
    """
    port, name = start(), f"service-{next(_numbers)}"
    options = write(settings)
    deployment = make_deployment(read_replica_settings(options)).options(
        **{"autoscaling_config": None, "num_replicas": 1, "logging_config": QUIET, **changes}
    )
    serve.run(deployment.bind(options), name=name, route_prefix=f"/{name}")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/{name}", timeout=SECONDS) as client:
            yield client
    finally:
        serve.delete(name)


def write(settings: Settings) -> dict[str, str]:
    """Return the settings that were set, as on the command line."""
    options = {}
    for name in settings.model_fields_set - {"workers"}:
        value = getattr(settings, name)
        if isinstance(value, tuple):
            value = ",".join(value)
        options[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return options

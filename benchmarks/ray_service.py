"""`python -m benchmarks.ray_service PORT REPLICAS [NAME=VALUE ...]`: the service on Ray Serve, to be measured."""

import sys

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from cluster.serving import NAME, make_deployment, read_replica_settings

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)


def main(port: int, replicas: int, settings: dict[str, str]) -> None:
    """Serve with a fixed number of replicas until a signal ends it."""
    ray.init("local", num_cpus=replicas, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port), logging_config=QUIET)
    deployment = make_deployment(read_replica_settings(settings)).options(
        autoscaling_config=None, num_replicas=replicas, logging_config=QUIET
    )
    serve.run(deployment.bind(settings), name=NAME, route_prefix="/", blocking=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), dict(pair.split("=", 1) for pair in sys.argv[3:]))

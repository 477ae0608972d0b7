"""Ray Serve with its dynamic request batching."""

import os
import tempfile

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from benchmarks.peers.network import Network

LOGGING = LoggingConfig(log_level="WARNING", enable_access_log=False)


# More requests at once than two batches can have, so that the next batch fills while one runs.
@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": 2}, logging_config=LOGGING)
class Sentiment:
    """The only deployment; its only replica runs the model, behind Ray's HTTP proxy."""

    def __init__(self) -> None:
        """Load the model."""
        self.network = Network()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def run(self, texts: list[str]) -> list[float]:
        """Return the probability that each review of a batch is positive."""
        return self.network.run(texts)

    async def __call__(self, request: Request) -> dict[str, float]:
        """Answer one request."""
        return {"probability": await self.run((await request.json())["text"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=tempfile.gettempdir())
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["BENCHMARK_PORT"])),
        logging_config=LOGGING,
    )
    serve.run(Sentiment.bind(), name="sentiment", route_prefix="/", blocking=True)

"""BentoML with its adaptive batching."""

import bentoml

from benchmarks.peers.network import Network


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Sentiment:
    """The only service; its dispatcher learns from the load how long to wait for a batch."""

    def __init__(self) -> None:
        """Load the model."""
        self.network = Network()

    # max_latency_ms is not a wait for a batch: past this total time a request gets 503, so 5 ms would refuse nearly
    # all.
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, text: list[str]) -> list[float]:
        """Return the probability that each review of a batch is positive."""
        return self.network.run(text)

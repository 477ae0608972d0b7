"""BentoML with its adaptive batching."""

import bentoml

from benchmarks.peers.network import Network


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Sentiment:
    """The one service; its dispatcher learns from the load how long to wait for a batch."""

    def __init__(self) -> None:
        """Load the model."""
        self.network = Network()

    # Not how long to wait: past this total a request is refused with 503, so that 5 ms would refuse nearly all.
    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
    def predict(self, text: list[str]) -> list[float]:
        """Return the probability that each review of a batch is positive."""
        return self.network.run(text)

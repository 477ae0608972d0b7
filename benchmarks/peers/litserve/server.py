"""LitServe with its dynamic batching."""

import os

import litserve

from benchmarks.peers.network import Network


class Sentiment(litserve.LitAPI):
    """The one API; decoding, batching and the model are in one worker process."""

    def setup(self, _: str) -> None:
        """Load the model."""
        self.network = Network()

    def decode_request(self, request: dict[str, str]) -> str:
        """Take the text out of a request."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Leave the texts of a batch as they are."""
        return inputs

    def predict(self, texts: list[str]) -> list[float]:
        """Return the probability that each review of a batch is positive."""
        return self.network.run(texts)

    def unbatch(self, output: list[float]) -> list[float]:
        """Leave the probabilities of a batch as they are."""
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        """Make the answer."""
        return {"probability": output}


if __name__ == "__main__":
    api = Sentiment(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=60)
    port = int(os.environ["BENCHMARK_PORT"])
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning", access_log=False)

"""LitServe with its dynamic batching, and ONNX Runtime."""

import os
from pathlib import Path

import litserve
import onnxruntime

from bundle.rows import pad_right
from bundle.store import open_bundle


class Sentiment(litserve.LitAPI):
    """The only API; each worker process decodes, batches and runs the model."""

    def setup(self, _: str) -> None:
        """Load the model."""
        bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
        # A network that was trained without a mask needs its padding, so the padding is run too.
        self.runs_padding = not bundle.manifest.recipe["settings"].get("mask_padding", True)
        self.codec = bundle.codec
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # there is a worker for each core
        self.session = onnxruntime.InferenceSession(bundle.onnx_path("float32"), options)

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text of a request."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Return the texts of a batch unchanged."""
        return inputs

    def predict(self, texts: list[str]) -> list[float]:
        """Return the probability that each review of a batch is positive."""
        rows = [self.codec.encode(text).ids for text in texts]
        ids, lengths = pad_right(self.codec.pad(rows) if self.runs_padding else rows)
        probabilities: list[float] = self.session.run(None, {"ids": ids, "lengths": lengths})[0][:, 0].tolist()
        return probabilities

    def unbatch(self, output: list[float]) -> list[float]:
        """Return the probabilities of a batch unchanged."""
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        """Return the answer."""
        return {"probability": output}


if __name__ == "__main__":
    api = Sentiment(max_batch_size=8, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=2, timeout=60)
    port = int(os.environ["BENCHMARK_PORT"])
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning", access_log=False)

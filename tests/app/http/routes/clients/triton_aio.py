"""Triton's asynchronous client for Python asks a service, and prints what it gets as JSON."""

import asyncio
import json
import sys

import numpy as np
from tritonclient.http import InferInput, InferRequestedOutput, aio
from tritonclient.utils import InferenceServerException

TEXTS = np.array(["A wonderful film.", "An awful, boring film!"], np.object_)


async def main(address: str) -> None:
    """Ask the service."""
    tensor = InferInput("text", TEXTS.shape, "BYTES")
    tensor.set_data_from_numpy(TEXTS)
    outputs = [InferRequestedOutput("label"), InferRequestedOutput("probabilities")]
    async with aio.InferenceServerClient(address) as client:
        results = await asyncio.gather(
            *(
                client.infer(
                    "sentiment",
                    [tensor],
                    outputs=outputs,
                    request_compression_algorithm=coding,
                    response_compression_algorithm=coding,
                )
                for coding in (None, "gzip", "deflate")
            )
        )
        try:
            await client.infer("sentimental", [tensor])
        except InferenceServerException as raised:
            error = [raised.status(), raised.message()]
        printed = {
            "live": [await client.is_server_live(), await client.is_server_ready()],
            "ready": await client.is_model_ready("sentiment", "1"),
            "metadata": await client.get_model_metadata("sentiment"),
            "config": await client.get_model_config("sentiment", "1"),
            "index": await client.get_model_repository_index(),
            "statistics": await client.get_inference_statistics("sentiment", "1"),
            "labels": [[text.decode() for text in result.as_numpy("label")] for result in results],
            "probabilities": [result.as_numpy("probabilities").ravel().tolist() for result in results],
            "error": error,
        }
    print(json.dumps(printed))  # noqa: T201


asyncio.run(main(sys.argv[1]))

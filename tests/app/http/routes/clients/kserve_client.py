"""KServe's client for Python asks a service, and prints what it gets as JSON."""

import asyncio
import json
import sys

import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig

TEXTS = np.array(["A wonderful film.", "An awful, boring film!"], np.object_)


async def main(url: str) -> None:
    """Ask the service."""
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    answers = []
    for binary in (False, True):
        tensor = InferInput("text", [*TEXTS.shape], "BYTES")
        tensor.set_data_from_numpy(TEXTS, binary_data=binary)
        request = InferRequest("sentiment", [tensor], parameters={"binary_data_output": binary})
        response = await client.infer(url, request, model_name="sentiment")
        probabilities, label, _ = response.outputs
        answers.append([probabilities.as_numpy().ravel().tolist(), label.as_numpy().tolist()])
    printed = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model": await client.is_model_ready(url, "sentiment"),
        "answers": answers,
    }
    await client.close()
    print(json.dumps(printed))  # noqa: T201


asyncio.run(main(sys.argv[1]))

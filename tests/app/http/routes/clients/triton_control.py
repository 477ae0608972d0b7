"""The flows of the client's own examples with a model of two versions, by the client that is named, with a key.

It prints what it gets as JSON. Source of the flows:
https://github.com/triton-inference-server/client/tree/main/src/python/examples
"""

import asyncio
import inspect
import json
import sys
from typing import Any

import numpy as np
from tritonclient import http
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

CLIENTS = {"sync": http.InferenceServerClient, "aio": aio.InferenceServerClient}
TEXTS = np.array(["A wonderful film.", "An awful,\0 boring film!"], np.object_)
VERSIONS = ("", "1", "2")


class Caller:
    """Calls methods of a client with a key; those of the asynchronous one are awaited."""

    def __init__(self, client: Any, key: str) -> None:
        self.client = client
        self.headers = {"X-API-Key": key} if key else {}

    async def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        headers = {**self.headers}  # the client adds those of a request to them
        result = getattr(self.client, method)(*arguments, headers=headers, **options)
        return await result if inspect.isawaitable(result) else result

    async def fail(self, method: str, *arguments: Any) -> list[str]:
        """Return the status and the message of an error."""
        try:
            await self(method, *arguments)
        except InferenceServerException as error:
            return [error.status(), error.message()]
        raise AssertionError("it was answered")


def make_input(*, binary: bool) -> Any:
    tensor = http.InferInput("text", TEXTS.shape, "BYTES")
    tensor.set_data_from_numpy(TEXTS, binary_data=binary)
    return tensor


async def ask(call: Caller, predicting: Caller, keyless: Caller) -> dict[str, Any]:
    """Return what the service answers to callers with all scopes, with the scope for predictions, and without a key."""
    texts = make_input(binary=True)
    reused = [await call("infer", "sentiment", [make_input(binary=binary)]) for binary in (True, False, True)]
    reused += [await call("infer", "sentiment", [texts]) for _ in range(3)]
    return {
        "live": await call("is_server_live", query_params={"test_1": 1, "test_2": 2}),
        "answers": [[text.decode() for text in result.as_numpy("label")] for result in reused],
        "answering": [
            (await call("infer", "sentiment", [texts], version)).get_response()["model_version"] for version in VERSIONS
        ],
        "ready": [await call("is_model_ready", "sentiment", version) for version in (*VERSIONS, "3")],
        "metadata": [await call("get_model_metadata", "sentiment", version) for version in VERSIONS],
        "config": [await call("get_model_config", "sentiment", version) for version in VERSIONS],
        "statistics": [await call("get_inference_statistics", "sentiment", version) for version in VERSIONS],
        "index": await call("get_model_repository_index"),
        "unloaded": await call("unload_model", "sentiment"),
        "without": [await call("is_model_ready", "sentiment"), await call.fail("infer", "sentiment", [texts])],
        "index_without": await call("get_model_repository_index"),
        "loaded": await call("load_model", "sentiment"),
        "again": [await call("is_model_ready", "sentiment", version) for version in VERSIONS],
        "unknown": [
            await call.fail(method, "sentimental") for method in ("load_model", "unload_model", "get_model_metadata")
        ],
        "refused": [
            await caller.fail(method, "sentiment")
            for caller in (predicting, keyless)
            for method in ("load_model", "unload_model")
        ],
    }


async def main(kind: str, address: str, *keys: str) -> None:
    """Ask the service."""
    client = CLIENTS[kind](address)
    printed = await ask(*(Caller(client, key) for key in (*keys, "")))
    closing = client.close()
    if inspect.isawaitable(closing):
        await closing
    print(json.dumps(printed))  # noqa: T201


asyncio.run(main(*sys.argv[1:]))

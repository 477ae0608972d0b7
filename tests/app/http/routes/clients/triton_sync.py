"""Triton's client for Python asks a service in every way, and prints what it gets as JSON.

It is a program of its own: the client replaces parts of Python's networking by those of gevent.
"""

import json
import sys
from typing import Any

import numpy as np
from tritonclient import http
from tritonclient.utils import InferenceServerException

TEXTS = np.array([["A wonderful film."], ["An awful, boring film!"]], np.object_)


def make_input(name: str, datatype: str, array: Any, *, binary: bool = True) -> Any:
    tensor = http.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def read(result: Any) -> dict[str, Any]:
    """Return the outputs of a result by name; texts are decoded."""
    arrays = {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}
    return {
        name: [text.decode() if isinstance(text, bytes) else text for text in array.ravel().tolist()]
        for name, array in arrays.items()
    }


def fail(client: http.InferenceServerClient, model: str, *inputs: Any, **options: Any) -> list[str]:
    """Return the status and the message of an error."""
    try:
        client.infer(model, inputs, **options)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError("it was answered")


def main(address: str) -> None:
    """Ask the service."""
    client = http.InferenceServerClient(address, concurrency=4)
    texts = make_input("text", "BYTES", TEXTS)
    ids = np.array([[0, 1, 4, 5], [1, 6, 0, 0]])
    codings = [(sent, wanted) for sent in (None, "gzip", "deflate") for wanted in (None, "gzip", "deflate")]
    chosen = [http.InferRequestedOutput("label", binary_data=False), http.InferRequestedOutput("probabilities")]
    many = make_input("text", "BYTES", np.array([b"wonderful"] * 40, np.object_))
    printed = {
        "live": [client.is_server_live(), client.is_server_ready()],
        "ready": [client.is_model_ready("sentiment", version) for version in ("", "1", "2")],
        "unknown": client.is_model_ready("sentimental"),
        "server": client.get_server_metadata(),
        "metadata": client.get_model_metadata("sentiment", "1"),
        "config": client.get_model_config("sentiment"),
        "index": client.get_model_repository_index(),
        "infer": [
            read(
                client.infer(
                    "sentiment", [texts], request_compression_algorithm=sent, response_compression_algorithm=wanted
                )
            )
            for sent, wanted in codings
        ],
        "long": read(client.infer("sentiment", [many], response_compression_algorithm="gzip")),
        "version": client.infer("sentiment", [texts], "1", request_id="42", timeout=60_000_000).get_response(),
        "json": read(client.infer("sentiment", [make_input("text", "BYTES", TEXTS, binary=False)], outputs=chosen)),
        "several": [read(asked.get_result()) for asked in [client.async_infer("sentiment", [texts]) for _ in range(8)]],
        "ids": [
            read(client.infer("sentiment", [make_input("ids", kind, ids.astype(dtype))]))
            for kind, dtype in (("INT32", np.int32), ("INT64", np.int64), ("UINT16", np.uint16))
        ],
        "letters": read(client.infer("next-letter", [make_input("sequence", "BYTES", np.array(["ABC"], np.object_))])),
        "errors": [
            fail(client, "sentimental", texts),
            fail(client, "sentiment", make_input("txet", "BYTES", TEXTS)),
            fail(client, "sentiment", texts, sequence_id=7, sequence_start=True),
            fail(client, "sentiment", texts, timeout=1),
        ],
        "statistics": client.get_inference_statistics("sentiment"),
        "all_statistics": client.get_inference_statistics(),
    }
    client.close()
    print(json.dumps(printed))  # noqa: T201


main(sys.argv[1])

"""Plain FastAPI around ONNX Runtime, one run per request, as a user of the exported network would write it."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

from bundle.store import open_bundle

bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
# A network that was trained without a mask needs its padding, so the padding is run too.
runs_padding = not bundle.manifest.recipe["settings"].get("mask_padding", True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # there is a process for each core
session = onnxruntime.InferenceSession(bundle.onnx_path("float32"), options)


class Review(BaseModel):
    """One review to judge."""

    text: str


app = FastAPI()


@app.post("/predict")
async def predict(review: Review) -> dict[str, float]:
    """Return the probability that a review is positive."""
    ids = bundle.codec.encode(review.text).ids[np.newaxis]
    if runs_padding:
        ids = bundle.codec.pad(ids)
    inputs = {"ids": ids, "lengths": np.array([ids.shape[1]], np.int32)}
    return {"probability": float(session.run(None, inputs)[0][0, 0])}

"""Plain FastAPI and the model in a `tf.function`, without batching."""

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.network import Network


class Review(BaseModel):
    """One review to judge."""

    text: str


app = FastAPI()
network = Network()


@app.post("/predict")
def predict(review: Review) -> dict[str, float]:
    """Return the probability that a review is positive."""
    return {"probability": network.run([review.text])[0]}

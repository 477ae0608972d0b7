"""Plain FastAPI and `model.predict`, as in most tutorials."""

from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.network import Network


class Review(BaseModel):
    """One review to judge."""

    text: str


app = FastAPI()
network = Network()
network.model.predict(network.encode([""]), verbose=0)


@app.post("/predict")
def predict(review: Review) -> dict[str, float]:
    """Return the probability that a review is positive."""
    return {"probability": float(network.model.predict(network.encode([review.text]), verbose=0)[0, 0])}

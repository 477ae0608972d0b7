"""Nodes of Ray that are simulated on this machine, each with one logical processor core, and a wait for an engine.

Workers of Ray import this module, so it imports little.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.scoring.answers import Answer, Refused
from app.scoring.scorer import Model

MODEL = Model("sentiment", ("negative", "positive"), {"model": "wait"})
_STORE_BYTES = 200 << 20  # of shared memory for each node


@dataclass(frozen=True)
class Waiting:
    """Answers after a fixed time for each text, like an engine on a processor core of its own."""

    seconds_a_text: float

    def score(self, texts: Sequence[str]) -> list[Answer | Refused]:
        """Return answers that have nothing to do with the texts."""
        time.sleep(self.seconds_a_text * len(texts))
        answer = {"sentiment": "positive", "probability_positive": 0.5}
        return [answer | {"words_used": len(text), "words_unknown": 0, "words_cut": 0} for text in texts]


@dataclass(frozen=True)
class MakeWaiting:
    """Makes what answers on a node."""

    seconds_a_text: float

    def __call__(self) -> Waiting:
        """Return it."""
        return Waiting(self.seconds_a_text)


@contextmanager
def simulate(nodes: int) -> Iterator[Any]:
    """Run a cluster, a `ray.cluster_utils.Cluster`, whose head has no core."""
    from ray.cluster_utils import Cluster

    options = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    try:
        grow(cluster, nodes)
        yield cluster
    finally:
        cluster.shutdown()


def grow(cluster: Any, nodes: int) -> None:
    """Add nodes to a cluster, up to this number besides the head."""
    while len(cluster.worker_nodes) < nodes:
        cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)

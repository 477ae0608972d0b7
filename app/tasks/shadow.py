"""Lets the candidate of a model answer requests that the model has answered, and counts how often both agree.

Clients never see these answers: they come after the model's own, in the background.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context

from app.errors import RequestError
from app.runtime.queue import Permit
from app.runtime.versions import Model

# Further requests are skipped, so that a slow candidate neither fills the memory nor takes most of the engine's time.
MOST_AT_ONCE = 8
SECONDS = 5.0  # for one request

Labels = Sequence[str | None]
# Returns the labels of the inputs of a request, given by a model.
Ask = Callable[[Model, Permit], Awaitable[Labels]]

logger = logging.getLogger(__name__)


class Shadow:
    """The shadow requests of one process."""

    def __init__(self) -> None:
        """Begin without any."""
        self._running: set[asyncio.Task[None]] = set()

    def ask(self, candidate: Model, ask: Ask, labels: Labels) -> None:
        """Let a candidate answer the inputs of a request too, which have got these labels; return at once."""
        if len(self._running) == MOST_AT_ONCE:
            candidate.batcher.metrics.note_shadow("skipped", len(labels))
            return
        # Without the context of the request: log lines of the candidate are not about it.
        task = asyncio.get_running_loop().create_task(_compare(candidate, ask, labels), context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _compare(candidate: Model, ask: Ask, labels: Labels) -> None:
    metrics = candidate.batcher.metrics
    started = time.monotonic()
    try:
        with candidate.batcher.admit(len(labels), started + SECONDS) as permit:
            others = await ask(candidate, permit)
    except RequestError:  # it is overloaded, or its alphabet is another one
        metrics.note_shadow("failed", len(labels))
    except Exception:
        metrics.note_shadow("failed", len(labels))
        logger.exception("the candidate failed", extra={"model": candidate.manifest.name})
    else:
        agreeing = sum(label == other for label, other in zip(labels, others, strict=True))
        metrics.note_shadow("agrees", agreeing)
        metrics.note_shadow("differs", len(labels) - agreeing)
        metrics.note_shadow_seconds(time.monotonic() - started)

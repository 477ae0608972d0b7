"""Refusing in a flood before the server makes a request of what has come.

What uvicorn and the layers above it make of a request takes longer than to read it, to see that it has no place, and to
say so; and in a flood that is what is done most often.
"""

import time
from collections.abc import Iterable, Sequence
from contextvars import copy_context

from app.errors import OverloadedError, RequestError
from app.middleware import LoggedRequest
from app.problems import make_answer
from app.repository import Repository
from app.routes.prediction import PredictionRoute, read_milliseconds
from app.schemas import Answer
from app.settings import Settings


class Gate:
    """Refuses requests of some routes that have no place in a queue; shut from the first such one to one that has.

    It also opens once nothing waits in that queue any more.
    """

    def __init__(self, routes: Iterable[PredictionRoute], repository: Repository, settings: Settings) -> None:
        """Take the routes, and the models they ask."""
        self._routes = {route.path.encode(): route for route in routes}
        self._repository = repository
        self._settings = settings

    def is_shut(self, method: bytes, path: bytes) -> bool:
        """Return whether requests of a method and path are to be shown before they are begun."""
        return method == b"POST" and path in self._routes and self._repository.is_refusing

    def refuse(self, path: bytes, headers: Sequence[tuple[bytes, bytes]], content: bytes) -> Answer | None:
        """Return the answer to a request that has no place; None to any other, which is to be begun.

        Args:
            path: one that the gate is shut for.
            headers: the names in lower case.
            content: the whole body.
        """
        return copy_context().run(self._refuse, path, headers, content)

    def _refuse(self, path: bytes, headers: Sequence[tuple[bytes, bytes]], content: bytes) -> Answer | None:
        route = self._routes[path]
        request = LoggedRequest("POST", route.path)
        try:
            deadline = time.monotonic() + read_milliseconds(dict(headers), self._settings) / 1000
            route.admit(content, self._repository, deadline)
        except OverloadedError as error:
            request.end(error.status)
            answer = make_answer(error, route.path)
            answer.headers.append(request.header)
            return answer
        except RequestError:
            pass  # which it is told once it is begun
        return None

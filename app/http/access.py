"""Which requests need an API key, and what the key has to allow.

A path needs a key unless it is listed here. So a new route needs one, too.
"""

from starlette.types import Scope

from app.access.caller import Caller
from app.access.guard import Guard
from app.access.keys import Scope as Permission
from app.access.usage import Usage
from app.errors import ManagementClosedError
from app.http.body import RawHeaders
from app.settings import Settings
from app.telemetry.logs import annotate_request

PROBES = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
DOCS = frozenset({"/", "/docs", "/openapi.json"})
DOCS_FOLDERS = ("/static-offline-docs/", "/page/")
METRICS = "/metrics"
NO_KEYS = (
    "the service has no API keys, and without them nobody may change its models; make one with "
    "python -m app --keys FILE keys add NAME --scope manage, and start the service with --keys FILE"
)

# Requests with these methods change nothing.
# Source: https://www.iana.org/assignments/http-methods
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
_MANAGED = ("/models/", "/v2/repository/")
_REPOSITORY_INDEX = "/v2/repository/index"  # a list of the models, with POST
_BEARER = b"bearer "


class Access:
    """Decides whether a request may pass."""

    def __init__(self, settings: Settings, guard: Guard | None = None) -> None:
        """Take the keys, or read them.

        Args:
            settings: of the service.
            guard: knows the keys, and where all processes count requests; None if there is only this process.

        Raises:
            KeyFileError: the key file cannot be read, or it is invalid.
        """
        if guard is None and settings.keys:
            guard = Guard(settings.keys, Usage(None))
        self._guard = guard
        self._open = PROBES
        self._open_folders: tuple[str, ...] = ()
        if settings.open_docs:
            self._open |= DOCS
            self._open_folders = DOCS_FOLDERS
        if settings.open_metrics:
            self._open |= {METRICS}

    @property
    def has_keys(self) -> bool:
        """Whether requests need keys."""
        return self._guard is not None

    def find_permission(self, method: str, path: str) -> Permission | None:
        """Return the scope that a request needs; None if it needs no key."""
        if path in self._open or path.startswith(self._open_folders):
            return None
        if path == METRICS:
            return "metrics"
        is_managed = path.startswith(_MANAGED) and path != _REPOSITORY_INDEX
        return "manage" if is_managed and method not in _SAFE_METHODS else "predict"

    def check(self, scope: Scope, headers: RawHeaders) -> None:
        """Return if a request may pass, and put its `caller` into its state: None if nobody needs a key.

        Raises:
            RequestError: it has no key, or a wrong one; or its client may not do this, or not now.
        """
        state = scope["state"]
        state["caller"] = None
        permission = self.find_permission(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
        if self._guard is None:
            if permission == "manage":
                raise ManagementClosedError(NO_KEYS)
        elif permission is not None:
            caller = self._guard.identify(find_key(headers))
            annotate_request(client_name=caller.name)
            state["caller"] = caller  # also if the next lines reject it: the answer has its limits
            caller.require(permission)
            caller.count_request()

    def close(self) -> None:
        """Close the files of the clients."""
        if self._guard:
            self._guard.close()


def find_key(headers: RawHeaders) -> bytes | None:
    """Return the key of a request; None if it has none."""
    authorization = headers.get(b"authorization", b"")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return headers.get(b"x-api-key")


def find_caller(scope: Scope) -> Caller | None:
    """Return the client of a request that `Access.check` has let pass; None if it needs no key."""
    caller: Caller | None = scope["state"]["caller"]
    return caller

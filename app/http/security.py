"""What the OpenAPI document says about API keys."""

from typing import Any

from app.errors import (
    BatchOverQuotaError,
    KeyMissingError,
    KeyUnknownError,
    ManagementClosedError,
    QuotaExceededError,
    RequestError,
    ScopeMissingError,
)
from app.http.access import NO_KEYS, Access
from app.http.routes import add_errors

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of this service."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key of this service."},
}
_LIMITS = {
    "RateLimit-Policy": {
        "description": "The limits of the client, if it has some: requests in a window, texts a day.",
        "schema": {"type": "string"},
        "example": '"day";q=100000;qu="texts";w=86400, "rate";q=20;w=1',
    },
    "RateLimit": {
        "description": "What is left of the limits of the client, and the seconds until all is there again.",
        "schema": {"type": "string"},
        "example": '"day";r=99990;t=43200, "rate";r=19;t=1',
    },
}


_OVER_QUOTA = BatchOverQuotaError(
    "the client web may send 100 texts a day (UTC), and the request has 128; send it in parts over several days, or "
    "ask the operator for a larger quota"
)


def describe_access(document: dict[str, Any], access: Access) -> None:
    """Add to an OpenAPI document which operations need a key, and the answers to requests without a right one."""
    if access.has_keys:
        document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            permission = access.find_permission(method.upper(), path)
            if permission and access.has_keys:
                operation["security"] = [{scheme: [permission]} for scheme in _SCHEMES]
                add_errors(operation["responses"], path, *_list_errors(permission))
                if permission == "predict" and "504" in operation["responses"]:  # predictions have deadlines
                    add_errors(operation["responses"], path, _OVER_QUOTA)
                for response in operation["responses"].values():
                    response.setdefault("headers", {}).update(_LIMITS)
            elif permission == "manage":
                add_errors(operation["responses"], path, ManagementClosedError(NO_KEYS))


def _list_errors(permission: str) -> list[RequestError]:
    return [
        KeyMissingError("the request has no API key; send it as Authorization: Bearer KEY, or as X-API-Key: KEY"),
        KeyUnknownError("the API key is not valid; send a key that the operator gave you and did not revoke"),
        ScopeMissingError(f"the client web has no scope {permission}; use a key that has it"),
        QuotaExceededError("the client web may send 20 requests in 1 s, and they are used", "rate", 0.2),
    ]

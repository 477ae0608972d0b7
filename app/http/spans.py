"""The span of a request by OpenTelemetry's conventions. This module does not import FastAPI.

Source: https://opentelemetry.io/docs/specs/semconv/http/http-spans/, version 1.44, for servers.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.types import Scope

from app.http.problems import cut_path

if TYPE_CHECKING:
    from app.telemetry.otlp import RequestSpan

# Clients may invent others, and each would be a name of spans of its own.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def end_span(span: "RequestSpan", scope: Scope, status: int | None, fields: Mapping[str, object]) -> None:
    """End the span of a request.

    Args:
        span: of the request.
        scope: of the request.
        status: of the answer; None if there was none.
        fields: of its log lines.
    """
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.path": cut_path(scope),
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope["http_version"],
        "lstm_serve.request.id": str(fields["request_id"]),
    }
    name = method if method in _METHODS else "HTTP"
    if route := scope.get("route"):
        attributes["http.route"] = f"{scope.get('root_path', '')}{route.path}"
        name = f"{name} {attributes['http.route']}"
    if client := scope.get("client"):
        attributes["client.address"] = client[0]
    if "model" in fields:
        attributes["lstm_serve.model.name"] = str(fields["model"])
        attributes["lstm_serve.model.version"] = str(fields["version"])
    is_error = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if status is not None:
        attributes["http.response.status_code"] = status
    if is_error:
        attributes["error.type"] = str(status)
    span.end(name, attributes, is_error)

"""`python docs/make_api.py`: writes docs/api.md, the reference of the HTTP interface, from the OpenAPI document."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"

_HEAD = """\
# HTTP interface

Which paths, fields and errors are there? [Requests](requests.md) has examples to begin with. This page is made by
`python docs/make_api.py` from the OpenAPI document, which a running service answers at `/openapi.json`; `/docs` shows
it as a page to try.

Every answer carries an `x-request-id`, which the log has too: that of the request, if it has a valid one. A trace id of
the header `traceparent` (W3C Trace Context) stands in the log. Every error is a problem document (RFC 9457), such as
"""

_ERRORS = """\
## Errors

The member `type` is `tag:lstm-serve,2026:` and the kind of the error. `detail` says what came, what was expected and
what to do; `errors` lists the fields that are wrong.

| kind | status | meaning |
|---|---|---|
"""


_HEADERS = """\
## Headers

| header | of | meaning |
|---|---|---|
| `authorization`, `x-api-key` | requests | The API key: `Bearer KEY`, or `KEY`; see [access](access.md). |
| `x-request-id` | requests | The id of the request, if it has 1 to 128 of the characters `A-Za-z0-9._:+/=@-`. |
| `traceparent`, `tracestate` | requests | The trace that the request belongs to (W3C Trace Context). |
| `content-type` | requests | `application/json` for predictions; `/v2` accepts any. |
| `content-encoding` | requests | `gzip` or `deflate`, if the body is compressed. |
| `accept-encoding` | requests | Longer answers are compressed with `gzip` or `deflate` if the client accepts it. |
"""

_METRICS = """\
## Metrics

`GET /metrics` answers these; [metrics.md](metrics.md) describes them.

| metric | type | labels | meaning |
|---|---|---|---|
"""


class Interface(NamedTuple):
    """What the page describes.

    Attributes:
        document: the OpenAPI document.
        guarded: the same of a service with API keys.
        errors: status and meaning of each kind of error.
        metrics: name, type, labels and meaning of each metric.
    """

    document: Mapping[str, Any]
    guarded: Mapping[str, Any]
    errors: Mapping[str, tuple[int, str]]
    metrics: Sequence[tuple[str, str, Sequence[str], str]]


def make_page(interface: Interface) -> str:
    """Return the page."""
    document, guarded, errors, metrics = interface
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    problem = next(
        example["value"]
        for _, _, operation in operations
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for example in content.get("examples", {}).values()
    )
    parts = [_HEAD, f"```json\n{json.dumps(problem, indent=1)}\n```\n"]
    tags = dict.fromkeys(tag for *_, operation in operations for tag in operation["tags"])
    for tag in tags:
        parts.append(f"## {tag[0].upper()}{tag[1:]}\n")
        for path, method, operation in operations:
            if tag in operation["tags"]:
                parts.append("\n".join(_describe(path, method, operation, document)))
    rows = "\n".join(f"| `{kind}` | {status} | {meaning} |" for kind, (status, meaning) in sorted(errors.items()))
    parts.append(f"{_ERRORS}{rows}\n")
    rows = "\n".join(f"| `{name}` | {of} | {meaning} |" for (name, of), meaning in _list_headers(guarded).items())
    parts.append(f"{_HEADERS}{rows}\n")
    rows = "\n".join(
        f"| `{name}` | {kind} | {' '.join(f'`{label}`' for label in labels)} | {_clean(meaning)} |"
        for name, kind, labels, meaning in metrics
    )
    parts.append(f"{_METRICS}{rows}\n")
    return "\n".join(parts)


def _list_headers(document: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the meaning of each header that some operations have, by its name and by what has it."""
    found: dict[tuple[str, str], str] = {}
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        for one in operation.get("parameters", ()):
            if one["in"] == "header":
                found.setdefault((one["name"], "requests"), _clean(one["description"]))
        for response in operation["responses"].values():
            for name, header in response["headers"].items():
                found.setdefault((name.lower(), "answers"), _clean(header["description"]))
    return dict(sorted(found.items(), key=lambda entry: (entry[0][1] == "answers", entry[0])))


def _describe(path: str, method: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{operation['summary']}. {operation.get('description', '')}\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {_name_type(one['schema'])} | {_clean(one.get('description'))} |"
        yield ""
    if body := operation.get("requestBody"):
        schema = _resolve(next(iter(body["content"].values()))["schema"], document)
        yield "Body:\n"
        yield from _list_fields(schema, document)
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        kinds = [f"`{kind}`" for one in content.values() for kind in one.get("examples", {})]
        if status.startswith("2"):
            found = next(iter(content.values()), {}).get("schema", {})
            schemas = [_resolve(option, document) for option in found.get("anyOf", [found])]
            for schema in schemas:
                if "properties" in schema:
                    which = f" {_clean(schema['description'])}" if len(schemas) > 1 else ""
                    yield f"Answer ({status}):{which}\n"
                    yield from _list_fields(schema, document)
        elif kinds:
            headers = "".join(f", `{name}`" for name in response.get("headers", {}) if name != "x-request-id")
            yield f"- {status}: {', '.join(kinds)}{headers}"
    yield ""


def _list_fields(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield "| field | type | meaning |\n|---|---|---|"
    needed = schema.get("required", [])
    for name, field in schema["properties"].items():
        resolved = _resolve(field, document)
        optional = "" if name in needed else ", optional"
        meaning = field.get("description") or resolved.get("description")
        yield f"| `{name}` | {_name_type(field)}{optional} | {_clean(meaning)} |"
    yield ""
    for example in schema.get("examples", []):
        yield f"```json\n{json.dumps(example, indent=1)}\n```\n"


def _resolve(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that a reference names; another schema as it is."""
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def _name_type(schema: Mapping[str, Any]) -> str:
    """Return the type of a schema and its bounds in words."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if options := schema.get("anyOf"):
        return " or ".join(_name_type(option) for option in options)
    if values := schema.get("enum"):
        return " or ".join(f"`{value}`" for value in values)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list{_name_size(schema, 'Items', 'items')} of {_name_type(schema.get('items', {}))}"
    if schema.get("type") == "string":
        return f"string{_name_size(schema, 'Length', 'characters')}"
    bounds = [
        f"{word} {schema[key]:g}" if schema[key] < 1e6 else f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("type", "any value")), *bounds])


def _name_size(schema: Mapping[str, Any], suffix: str, unit: str) -> str:
    """Return the bounds of a list or a text in words, in brackets; empty if there are none."""
    least, most = schema.get(f"min{suffix}", 0), schema.get(f"max{suffix}")
    if most is None:
        return f" (at least {least} {unit})" if least else ""
    if least == most:
        return f" (exactly {most})"
    return f" ({least} to {most:,} {unit})" if least else f" (at most {most:,} {unit})"


def _clean(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def read_interface() -> Interface:
    """Return the interface of the service with its default settings."""
    from app.errors import RequestError
    from app.http.app import create_app
    from app.settings import Settings
    from app.telemetry.metrics import METRICS
    from app.telemetry.stability import INDEX, INDEX_HELP, INDEX_LABELS

    kinds: dict[str, tuple[int, str]] = {}
    classes: list[type[RequestError]] = RequestError.__subclasses__()
    while classes:
        one = classes.pop()
        classes += one.__subclasses__()
        if "kind" in vars(one):  # roots of several have none
            kinds[one.kind] = int(one.status), _clean(one.__doc__)
    metrics: list[tuple[str, str, Sequence[str], str]] = [
        (family.name + "_total" * (family.type == "counter"), family.type, metric.label_names, family.documentation)
        for metric in METRICS
        for family in metric.describe()
    ]
    metrics.append((INDEX, "gauge", INDEX_LABELS, INDEX_HELP))
    guarded = create_app(Settings(keys='{"clients": []}')).openapi()
    return Interface(create_app(Settings()).openapi(), guarded, kinds, metrics)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(make_page(read_interface()), "utf-8")

"""How to serve and to ask a bundle that has just been published."""

import json
import shlex

from bundle.letters import LetterCodec
from bundle.store import Bundle

_ADDRESS = "localhost:8000"  # the service's default


def describe_serving(bundle: Bundle) -> str:
    """Return the commands that serve the store of a bundle and ask the bundle, for a shell."""
    manifest, codec = bundle.manifest, bundle.codec
    given = {"text": "A tender, wonderful film."}
    if isinstance(codec, LetterCodec):
        given = {"sequence": "".join(codec.alphabet[: min(3, codec.length)])}
    request = json.dumps(given | {"model": manifest.name}, ensure_ascii=False)
    serve = shlex.join(["python", "-m", "app", "--models", str(bundle.folder.parents[1])])
    ask = ["curl", "-s", f"{_ADDRESS}/{manifest.task}", "-H", "content-type: application/json", "-d", request]
    return (
        "A service that runs on this folder answers with the new version within a second, without a restart. "
        f"To start one, and to ask it:\n  {serve}\n  {shlex.join(ask)}"
    )

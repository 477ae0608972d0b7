"""How to serve and to ask a bundle that has just been published."""

import json
import shlex

from bundle.codec import Codec
from bundle.letters import LetterCodec
from bundle.reviews import ReviewCodec
from bundle.store import Bundle
from bundle.symbols import SymbolCodec

_ADDRESS = "localhost:8000"  # the service's default
_SHOWN = 3  # characters or words


def describe_serving(bundle: Bundle, example: str | None = None) -> str:
    """Return the commands that serve the store of a bundle and ask the bundle, for a shell.

    `example` is a text to ask about; by default one that the bundle can read.
    """
    manifest = bundle.manifest
    request = json.dumps(_make_fields(bundle.codec, example) | {"model": manifest.name}, ensure_ascii=False)
    engine = [] if manifest.onnx else ["--engine", "tensorflow"]
    serve = shlex.join(["python", "-m", "app", "--models", str(bundle.folder.parents[1]), *engine])
    ask = ["curl", "-s", f"{_ADDRESS}/{manifest.task}", "-H", "content-type: application/json", "-d", request]
    return (
        "A service that runs on this folder answers with the new version within a second, without a restart. "
        f"To start one, and to ask it:\n  {serve}\n  {shlex.join(ask)}"
    )


def _make_fields(codec: Codec, example: str | None) -> dict[str, str]:
    """Return the fields of a request that a codec can read."""
    if isinstance(codec, LetterCodec | SymbolCodec):
        return {"sequence": codec.alphabet[: min(_SHOWN, codec.length)]}
    assert isinstance(codec, ReviewCodec)
    text = example or "A tender, wonderful film."
    if not codec.encode(text).is_readable:  # of another language
        words = [word for word in codec.vocabulary if word.isalpha()] or [*codec.vocabulary]
        text = " ".join(words[:_SHOWN])
    return {"text": text}

"""What an import shows of a bundle: its coding and its examples, on the terminal and in the card."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bundle.reviews import ReviewCodec, WordCoding
from training.imports.examples import Example
from training.imports.model_file import ModelFile

_SHOWN_EXAMPLES = 5
_SHOWN_CHARACTERS = 200


def show(
    model: str,
    file: ModelFile,
    labels: Sequence[str],
    codec: ReviewCodec,
    examples: Sequence[Example],
    console: Console,
) -> None:
    """Print the coding, so that a wrong one is seen before anything is published; `model` is the file's name."""
    table = Table("coding", "value")
    table.add_row("model", f"{model}, written by {file.writer}")
    table.add_row("labels", ", ".join(labels))
    for name, value in _list_coding(codec, file.vectors).items():
        table.add_row(name, value)
    given = next((example.text for example in examples if example.text), None)
    text = " ".join(codec.vocabulary[:5]) if given is None else given[:_SHOWN_CHARACTERS]
    table.add_row("a text", text)
    table.add_row("its words", " | ".join(codec.preprocessing.tokeniser.split(text)))
    table.add_row("its ids", " ".join(map(str, codec.encode(text).ids)))
    console.print(table, markup=False)


def describe_coding(codec: ReviewCodec, vectors: int | None) -> str:
    """Return the coding as a table in Markdown; `vectors` is the number of word vectors."""
    lines = [f"| {name} | {value.replace('|', '&#124;')} |" for name, value in _list_coding(codec, vectors).items()]
    return "\n".join(["| coding | value |", "|---|---|", *lines])


def describe_examples(examples: Sequence[Example], difference: float | None) -> str:
    """Return the examples that were compared, and the largest difference, in Markdown."""
    if difference is None:
        return "It was not compared: no examples were given."
    lines = [f"Its answers to {len(examples):,} examples of its own code differ by at most {difference:.1e}.", ""]
    for example in examples[:_SHOWN_EXAMPLES]:
        given = " ".join((example.text or "").split())
        if example.ids is not None and example.text is None:
            given = f"ids {' '.join(map(str, example.ids))}"
        shown = given if len(given) <= _SHOWN_CHARACTERS else f"{given[:_SHOWN_CHARACTERS]} ..."
        lines.append(f"- {' '.join(f'{value:.4f}' for value in example.outputs)}: {shown}")
    return "\n".join(lines)


def _list_coding(codec: ReviewCodec, vectors: int | None) -> dict[str, str]:
    """Return the coding by name, for people."""
    coding = codec.preprocessing
    assert isinstance(coding, WordCoding)
    settings = coding.tokeniser.model_dump(exclude={"kind", "rules", "pattern"})
    words = f"{coding.words:,}, {codec.vocabulary[0]!r} to {codec.vocabulary[-1]!r}"
    ids = f"{coding.word_ids[0]} to {coding.word_ids[-1]} (line of vocabulary.txt {coding.rank_offset:+d})"
    return {
        "tokeniser": ", ".join([coding.tokeniser.kind, *(f"{name}={value!r}" for name, value in settings.items())]),
        "words": words,
        "ids of words": ids,
        "word vectors": "unknown" if vectors is None else f"{vectors:,}",
        "padding": f"id {coding.padding_id}, on the {coding.padding_side}",
        "start": "none" if coding.start_id is None else f"id {coding.start_id}",
        "unknown words": "left out" if coding.unknown_id is None else f"id {coding.unknown_id}",
        "length": f"{coding.length} ids; longer texts are cut on the {coding.truncation_side}",
    }

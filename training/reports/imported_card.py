"""The card of a bundle whose network was made elsewhere: what is known of it, and that the rest is not."""

from pathlib import Path

from bundle.manifest import Description
from bundle.reviews import ReviewCodec
from training.reports.card import CARD, describe_frameworks, describe_onnx

_SHOWN_EXAMPLES = 5


def write_imported_card(
    folder: Path, description: Description, codec: ReviewCodec, parameters: int, examples: str, coding: str
) -> None:
    """Write the card of an imported bundle.

    Args:
        folder: of the bundle.
        description: its manifest.
        codec: of its rows.
        parameters: number of weights.
        examples: the examples that were compared, Markdown.
        coding: the coding, a table in Markdown.
    """
    origin = description.recipe["imported"]
    assert isinstance(origin, dict)
    onnx = describe_onnx(description) or (
        "## Engine\n\nThe network has no `model.onnx`. The service needs the engine `tensorflow` for it.\n\n"
    )
    (folder / CARD).write_text(
        f"""\
# {description.name}

A network that was made elsewhere, imported from `{origin["file"]}` (SHA-256 `{origin["sha256"]}`, written by
{origin["written_by"]}).

Task `{description.task}`, {parameters:,} parameters, labels: {", ".join(f"`{label}`" for label in description.labels)}.

## Figures and data

The data that it was trained and tested on are unknown here, so there are no figures. Measure it on your own test data.

## Coding

{coding}

The network reads at most {codec.length} ids. `vocabulary.txt` has its {len(codec.vocabulary):,} words.

## Compared with its own code

{examples}

{onnx}{describe_frameworks(description)}
""",
        encoding="utf-8",
    )

"""What a run has done, in a file beside its output: a run that was killed goes on from there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from app.errors import ScoringError
from app.files import replace_file
from app.scoring.figures import Figures
from app.scoring.sinks import explain_errors
from bundle.errors import explain

_DIGESTS = ("input", "checksum")


class State(BaseModel):
    """What has been written for certain.

    Attributes:
        identity: what the output depends on: the input, the model and the options.
        rows: of the input that are done, the bad ones too.
        scored: rows of the output.
        bad: rows that were put aside.
        bytes: of the output.
        bad_bytes: of the file of the bad rows.
        figures: of the rows with a label, if the labels are compared.
        is_complete: whether all rows are done; only the files are to get their names.
    """

    model_config = ConfigDict(extra="forbid")

    identity: dict[str, JsonValue]
    rows: int = 0
    scored: int = 0
    bad: int = 0
    bytes: int = 0
    bad_bytes: int = 0
    figures: Figures | None = None
    is_complete: bool = False


class Journal:
    """The file of the state of one output."""

    def __init__(self, output: Path) -> None:
        """Take the output; nothing is read or written yet."""
        self.path = output.with_name(f"{output.name}.progress")

    def read(self, identity: Mapping[str, Any]) -> State | None:
        """Return the state of a run that was to write the same output; None if there is none.

        Raises:
            ScoringError: it cannot be read, or belongs to another input, model or options.
        """
        try:
            state = State.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ScoringError(f"{self.path} cannot be read ({explain(error)}); {self._advice}") from error
        check_identity(state.identity, identity, self._advice)
        return state

    def write(self, state: State) -> None:
        """Write the state in one step.

        Raises:
            ScoringError: it cannot be written, and stays as it was.
        """
        with explain_errors(self.path):
            replace_file(self.path, state.model_dump_json() + "\n", 0o644)

    def remove(self) -> None:
        """Remove the file: the output is complete."""
        self.path.unlink(missing_ok=True)

    @property
    def _advice(self) -> str:
        return f"delete {self.path} to start anew"


def check_identity(before: Mapping[str, Any], now: Mapping[str, Any], advice: str) -> None:
    """Check that a run can go on where another one stopped.

    Args:
        before: what the output of the stopped run depends on.
        now: what that of this run depends on.
        advice: what else to do, for the message.

    Raises:
        ScoringError: they differ.
    """
    if differing := sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)):
        changes = (_compare(name, before.get(name), now.get(name)) for name in differing)
        raise ScoringError(
            f"a run was stopped that writes this output, and some things are not as they were then: "
            f"{', '.join(changes)}; to go on, make them so again, or {advice}"
        )


def _compare(name: str, before: Any, now: Any) -> str:
    """Return what has changed; the values only if people know them."""
    return name if name in _DIGESTS else f"{name} (before: {before}, now: {now})"

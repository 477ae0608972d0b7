"""Which model and which version answer a request that names none: the same for the service and for files."""

from collections.abc import Callable, Container, Iterable, Sequence

from app.errors import ModelNotFoundError
from app.settings import PREFIX


def list_default_versions(numbers: Iterable[int], stable: int | None) -> list[int]:
    """Return the versions that may answer by default, the best one first: an earlier one if it cannot be served.

    Args:
        numbers: of the versions.
        stable: the version that is to have the label `stable`; newer ones do not answer by default.
    """
    return sorted((number for number in numbers if stable is None or number <= stable), reverse=True)


def choose_default_model(
    task: str, named: str | None, names: Container[str], list_models: Callable[[], Sequence[str]]
) -> str:
    """Return the name of the model that answers requests of a task without a model; there may be none of this name.

    Args:
        task: its name.
        named: the model of the setting `default_models`.
        names: of all models; the one with the name of the task is next.
        list_models: returns the models of the task; if there is only one, it is the last choice.

    Raises:
        ModelNotFoundError: several models answer the task, and none of them is its default.
    """
    if named is not None or task in names:
        return named or task
    found = list_models()
    if len(found) > 1:
        raise ModelNotFoundError(
            f"several models answer {task}: {', '.join(found)}; name one in the field model, or make one the "
            f"default ({PREFIX}DEFAULT_MODELS={task}={found[0]})"
        )
    return found[0] if found else task

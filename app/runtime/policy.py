"""Which versions of a model are loaded and which one answers: the file `policy.json`, by default beside its versions.

Every process of a service follows the file, so one change reaches all of them, and it outlives restarts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import PolicyError
from app.files import lock_folder, replace_file
from app.settings import PREFIX
from bundle.errors import SizeError, explain
from bundle.files import read_file
from bundle.store import MOST_VERSION

POLICY_FILE = "policy.json"
GOOD_FILE = "policy.good.json"  # the last good policy, which the service writes itself
STABLE = "stable"  # the label of the version that answers requests that name none
CANDIDATE = "candidate"  # the label of the version that answers shadow requests

Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
VersionNumber = Annotated[int, Field(strict=True, ge=1, le=MOST_VERSION)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class Policy(BaseModel):
    """What an operator wants of the versions of one model.

    Attributes:
        labels: versions by label; they are loaded in addition to the newest ones.
        shadow_share: share of the requests that the candidate answers too; clients never see those answers.
        is_loaded: whether the model is served at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: dict[Label, VersionNumber] = {}
    shadow_share: Share = 0.0
    is_loaded: bool = True


def read_policy(folder: Path) -> Policy:
    """Return the policy in a folder; the default one if there is no file.

    Raises:
        PolicyError: the file cannot be read, or is not a policy.
    """
    path = folder / POLICY_FILE
    try:
        return Policy.model_validate_json(read_file(path))
    except FileNotFoundError as error:
        if path.is_symlink():
            raise PolicyError(f"{path} is a link to a file that is not there; correct it or delete it") from error
        return Policy()
    except OSError as error:
        raise PolicyError(f"{path} cannot be read ({explain(error)}); make it readable") from error
    except SizeError as error:
        raise PolicyError(f"{path} is too large for a policy; correct it or delete it") from error
    except ValidationError as error:
        raise PolicyError(f"{path} is not a policy: {explain(error)}; correct it or delete it") from error


def read_good_policy(folder: Path) -> Policy | None:
    """Return the last good policy that a process has kept in a folder; None if there is none."""
    try:
        return Policy.model_validate_json(read_file(folder / GOOD_FILE))
    except (OSError, SizeError, ValidationError):
        return None


def keep_good_policy(folder: Path, policy: Policy) -> None:
    """Keep a policy for processes that start while the model's own is wrong.

    Raises:
        OSError: the folder cannot be written, or another process holds its lock for long.
    """
    with lock_folder(folder):
        replace_file(folder / GOOD_FILE, policy.model_dump_json(indent=1) + "\n", 0o644)


def change_policy(folder: Path, change: Callable[[Policy], Policy]) -> Policy:
    """Change the policy in a folder, and return the new one; two changes at once both take effect.

    Raises:
        PolicyError: see `read_policy`; also if there is no such policy, or if the file cannot be written. It then stays
            as it was.
    """
    path = folder / POLICY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(folder):
            before = read_policy(folder)
            policy = Policy.model_validate(change(before).model_dump())
            if policy != before:
                replace_file(path, policy.model_dump_json(indent=1) + "\n", 0o644)
    except ValidationError as error:
        raise PolicyError(f"the change is not possible: {explain(error)}") from error
    except OSError as error:
        raise PolicyError(
            f"{path} cannot be written ({explain(error)}); make the folder writable, change the file where "
            f"the folder comes from, or name another folder ({PREFIX}POLICIES)"
        ) from error
    return policy

"""Changes that an operator makes to the versions of a model, by command or by request.

Each is one change of the model's policy, which all processes of the service follow.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.engines import load_engine
from app.errors import EngineError, PolicyError, escape_surrogates
from app.runtime.policy import Label, Policy, change_policy, read_policy
from app.settings import Settings
from bundle.errors import BundleError, BundleNotFoundError, explain
from bundle.store import Bundle, Store


class Changes:
    """Changes the policies of the models in a store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store, and the settings of the service that follows the policies."""
        self._store = store
        self._settings = settings
        self._policies = settings.policies or store.root

    def list_names(self) -> list[str]:
        """Return the names of the models.

        Raises:
            PolicyError: the store cannot be read.
        """
        with self._explain_unreadable():
            return self._store.names()

    def list_versions(self, name: str) -> list[int]:
        """Return the versions of a model.

        Raises:
            PolicyError: its folder cannot be read.
        """
        with self._explain_unreadable(name):
            return self._store.versions(name)

    def describe_misnamed(self, name: str) -> str | None:
        """Return why folders beside the versions of a model are ignored; None if there are none.

        Raises:
            PolicyError: its folder cannot be read.
        """
        with self._explain_unreadable(name):
            return describe_misnamed(self._store, name)

    def read(self, name: str) -> Policy:
        """Return the policy of a model.

        Raises:
            BundleNotFoundError: there is no model of this name.
            PolicyError: the policy cannot be read.
        """
        self._check_name(name)
        return read_policy(self._policies / name)

    def set_label(self, name: str, label: Label, version: int) -> Policy:
        """Give a version a label, which loads it; its files are verified and its network is run before.

        Raises:
            BundleNotFoundError: there is no such model or version.
            BundleError, EngineError: the version cannot be used.
            PolicyError: the policy cannot be read or written.
        """
        self._check_name(name)
        with self._explain_unreadable(name):
            bundle = self._store.open(name, version)
        self._check_network(bundle)
        return self._change(name, lambda policy: _with_labels(policy, {**policy.labels, label: version}))

    def remove_label(self, name: str, label: Label) -> Policy:
        """Remove a label from the version that has it.

        Raises:
            BundleNotFoundError: there is no model of this name, or no version has the label.
            PolicyError: the policy cannot be read or written.
        """

        def remove(policy: Policy) -> Policy:
            if label not in policy.labels:
                known = ", ".join(sorted(policy.labels)) or "none"
                raise BundleNotFoundError(f"no version of {name} has the label {label!r}; labels: {known}")
            return _with_labels(policy, {other: number for other, number in policy.labels.items() if other != label})

        return self._change(name, remove)

    def set_shadow_share(self, name: str, share: float) -> Policy:
        """Set the share of requests, 0 to 1, that the candidate answers too.

        Raises:
            BundleNotFoundError: there is no model of this name.
            PolicyError: the policy cannot be read or written.
        """
        return self._change(name, lambda policy: policy.model_copy(update={"shadow_share": share}))

    def set_loaded(self, name: str, is_loaded: bool) -> Policy:
        """Load a model, or unload all its versions.

        Raises:
            BundleNotFoundError: there is no model of this name.
            PolicyError: the policy cannot be read or written.
        """
        return self._change(name, lambda policy: policy.model_copy(update={"is_loaded": is_loaded}))

    def _change(self, name: str, change: Callable[[Policy], Policy]) -> Policy:
        self._check_name(name)
        return change_policy(self._policies / name, change)

    def _check_network(self, bundle: Bundle) -> None:
        try:
            load_engine(bundle, self._settings)
        except (BundleError, EngineError):
            raise
        except Exception as error:  # engines have errors of their own
            raise EngineError(f"the network in {bundle.folder} cannot be loaded: {error}") from error

    @contextmanager
    def _explain_unreadable(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = self._store.root / name
            raise PolicyError(f"{where} cannot be read ({explain(error)}); make it readable") from error

    def _check_name(self, name: str) -> None:
        names = self.list_names()
        if name not in names:  # also any path out of the store
            raise BundleNotFoundError(
                f"there is no model {name!r} in {self._store.root}; there are: {', '.join(names) or 'none'}"
            )


def describe_misnamed(store: Store, name: str) -> str | None:
    """Return why folders beside the versions of a model are ignored; None if there are none.

    Raises:
        OSError: its folder cannot be read.
    """
    folders = [escape_surrogates(folder) for folder in store.misnamed(name)]
    if not folders:
        return None
    which = "folder " + folders[0] if len(folders) == 1 else "folders " + ", ".join(folders)
    return (
        f"ignored beside the versions: {which}; the name of a version is a number from 1 on, without leading zeros, "
        "such as 2: rename or remove what is ignored"
    )


def _with_labels(policy: Policy, labels: dict[str, int]) -> Policy:
    return policy.model_copy(update={"labels": dict(sorted(labels.items()))})

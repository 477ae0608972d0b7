"""Changes that an operator makes to the versions of a model, by command or by request.

Each is one change of the model's policy, which all processes of the service follow.
"""

from app.runtime.policy import Label, Policy, change_policy, read_policy
from bundle.errors import BundleNotFoundError
from bundle.store import Store


def read(store: Store, name: str) -> Policy:
    """Return the policy of a model.

    Raises:
        BundleNotFoundError: there is no model of this name.
        PolicyError: the policy cannot be read.
    """
    _check_name(store, name)
    return read_policy(store.root / name)


def set_label(store: Store, name: str, label: Label, version: int) -> Policy:
    """Give a version a label, which loads it; every file of the version is verified before.

    Raises:
        BundleNotFoundError: there is no such model or version.
        ManifestError, ChecksumError: the version cannot be used.
        PolicyError: the policy cannot be read or written.
    """
    _check_name(store, name)
    store.open(name, version)
    return change_policy(store.root / name, lambda policy: _with_labels(policy, {**policy.labels, label: version}))


def remove_label(store: Store, name: str, label: Label) -> Policy:
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

    _check_name(store, name)
    return change_policy(store.root / name, remove)


def set_shadow_share(store: Store, name: str, share: float) -> Policy:
    """Set the share of requests, 0 to 1, that the candidate answers too.

    Raises:
        BundleNotFoundError: there is no model of this name.
        PolicyError: the policy cannot be read or written.
    """
    _check_name(store, name)
    return change_policy(store.root / name, lambda policy: policy.model_copy(update={"shadow_share": share}))


def set_loaded(store: Store, name: str, is_loaded: bool) -> Policy:
    """Load a model, or unload all its versions.

    Raises:
        BundleNotFoundError: there is no model of this name.
        PolicyError: the policy cannot be read or written.
    """
    _check_name(store, name)
    return change_policy(store.root / name, lambda policy: policy.model_copy(update={"is_loaded": is_loaded}))


def _with_labels(policy: Policy, labels: dict[str, int]) -> Policy:
    return policy.model_copy(update={"labels": dict(sorted(labels.items()))})


def _check_name(store: Store, name: str) -> None:
    names = store.names()
    if name not in names:  # also any path out of the store
        raise BundleNotFoundError(
            f"there is no model {name!r} in {store.root}; there are: {', '.join(names) or 'none'}"
        )

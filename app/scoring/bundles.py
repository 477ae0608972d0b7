"""The bundle that answers the texts of a file: the one that the service would answer with."""

from app.errors import PolicyError
from app.runtime.defaults import choose_default_model, list_default_versions
from app.runtime.policy import STABLE, read_policy
from app.settings import Settings
from bundle.errors import BundleError
from bundle.store import Bundle, Store
from bundle.tasks import SENTIMENT


def find_bundle(settings: Settings, name: str | None, version: int | str | None, store: Store | None = None) -> Bundle:
    """Return the bundle that the service would answer with.

    Args:
        settings: name the folders, and the default models.
        name: of the model; by default the one that answers sentiments, or the only one.
        version: or a label of one; by default the stable version, or the newest one, or the newest good one before.
        store: of the bundles; by default the folder of the settings.

    Raises:
        BundleError: there is none, or it is damaged.
        PolicyError: the policy of the model cannot be read, or it has no such label.
        ModelNotFoundError: several models could be the default.
    """
    store = store or Store(settings.models)
    name = name or _find_default(store, settings)
    if name not in store.names():
        return store.open(name)  # which says what there is
    labels = read_policy((settings.policies or store.root) / name).labels
    if isinstance(version, str):
        if version not in labels:
            raise PolicyError(f"there is no label {version!r} of {name}; labels: {', '.join(labels) or 'none'}")
        version = labels[version]
    return store.open(name, version) if version else _open_default(store, name, labels.get(STABLE))


def _find_default(store: Store, settings: Settings) -> str:
    names = store.names()
    if len(names) == 1:
        return names[0]
    named = settings.default_models.get(SENTIMENT.name)
    return choose_default_model(
        SENTIMENT.name, named, names, lambda: [name for name in names if _has_task(store, name)]
    )


def _has_task(store: Store, name: str) -> bool:
    try:
        return store.open(name).manifest.task == SENTIMENT.name
    except BundleError:
        return False


def _open_default(store: Store, name: str, stable: int | None) -> Bundle:
    """Return the first good bundle of those that may answer by default.

    Raises:
        BundleError: none is good; it is about the best one.
    """
    first: BundleError | None = None
    for number in list_default_versions(store.versions(name), stable):
        try:
            return store.open(name, number)
        except BundleError as error:
            first = first or error
    if first:
        raise first
    return store.open(name, stable)  # which says what there is

"""A bundle on its way to other machines: from an object store to here, and its files from here to the nodes.

Each node compares the files with their checksums before it loads the network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Self

from app.engines import load_engine
from app.errors import PolicyError, ScoringError
from app.runtime.policy import POLICY_FILE
from app.scoring.bundles import find_bundle
from app.scoring.scorer import EngineScorer
from app.settings import Settings
from bundle.errors import BundleError
from bundle.manifest import MANIFEST_FILE
from bundle.store import Bundle, Store
from tables.storage import Storage


@contextmanager
def open_bundle(location: str, settings: Settings, name: str | None, version: int | str | None) -> Iterator[Bundle]:
    """Give the bundle that the service would answer with: see `find_bundle`.

    Args:
        location: of the bundles: a path, or an address of an object store, of which only the bundle is copied.
        settings: name the default models.
        name: of the model.
        version: or a label of one.

    Raises:
        TableError: the address cannot be read.
        BundleError, PolicyError, ModelNotFoundError: see `find_bundle`.
    """
    if "://" not in location:
        yield find_bundle(settings.model_copy(update={"models": Path(location)}), name, version)
        return
    with TemporaryDirectory() as place:
        storage = Storage(location)
        try:
            bundle = find_bundle(settings, name, version, CopiedStore(Path(place), storage))
        except (BundleError, PolicyError) as error:
            raise type(error)(str(error).replace(place, storage.name)) from error
        yield bundle


class CopiedStore(Store):
    """The bundles in an object store. A version is copied when it is opened; until then only manifests are."""

    def __init__(self, root: Path, storage: Storage) -> None:
        """Copy the manifests and the policies to a folder.

        Raises:
            TableError: they cannot be read.
        """
        super().__init__(root)
        self._storage = storage
        self._names = [stored.name for stored in storage.list()]
        for name in self._names:
            if PurePosixPath(name).name in (MANIFEST_FILE, POLICY_FILE):
                self._copy(name)

    def open(self, name: str, version: int | None = None) -> Bundle:
        """Open a bundle: see `Store.open`."""
        versions = self.versions(name)
        number = version if version in versions else max(versions, default=None)
        for file in self._names:
            if file.startswith(f"{name}/{number}/"):
                self._copy(file)
        return super().open(name, version)

    def _copy(self, name: str) -> None:
        path = self.root / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._storage.read(name) or b"")


@dataclass(frozen=True)
class ShippedBundle:
    """The files of a bundle by name, what they must be, and the settings of its engine."""

    name: str
    version: int
    checksum: str
    files: Mapping[str, bytes]
    settings: Settings

    @classmethod
    def pack(cls, bundle: Bundle, settings: Settings) -> Self:
        """Return a bundle to ship, without the API keys in the settings."""
        manifest = bundle.manifest
        files = {name: (bundle.folder / name).read_bytes() for name in (MANIFEST_FILE, *manifest.files)}
        settings = settings.model_copy(update={"keys": None})
        return cls(manifest.name, manifest.version, manifest.checksum, files, settings)

    def load(self) -> EngineScorer:
        """Return what scores on this machine: the files are compared with the manifest, and that with the checksum.

        Raises:
            ScoringError: it is another bundle.
            BundleError: a file differs from its checksum.
            EngineError: the engine is not installed here.
        """
        with TemporaryDirectory() as place:
            folder = Path(place) / self.name / str(self.version)
            folder.mkdir(parents=True)
            for name, contents in self.files.items():
                (folder / name).write_bytes(contents)
            bundle = Store(Path(place)).open(self.name, self.version)
            if bundle.manifest.checksum != self.checksum:
                raise ScoringError(
                    f"a node got {self.name} version {self.version} with the checksum {bundle.manifest.checksum}, "
                    f"and {self.checksum} was expected; run the same command again"
                )
            return EngineScorer(bundle, load_engine(bundle, self.settings), self.settings.max_text_characters)

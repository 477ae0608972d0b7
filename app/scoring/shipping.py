"""A bundle on its way to other machines: its files, which each machine checks again before it loads the network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from app import __version__
from app.engines import load_engine
from app.errors import ScoringError
from app.scoring.scorer import EngineScorer
from app.settings import Settings
from bundle.manifest import MANIFEST_FILE
from bundle.store import Bundle, Store
from tables.storage import Storage


@contextmanager
def fetch_models(location: str, name: str | None) -> Iterator[Path]:
    """Give the folder of the bundles: the folder at a path, or a copy of one in an object store.

    Args:
        location: the path or the address.
        name: of the only model that is needed; None for all.

    Raises:
        TableError: it cannot be read.
    """
    if "://" not in location:
        yield Path(location)
        return
    storage = Storage(location)
    with TemporaryDirectory() as place:
        for stored in storage.list():
            if name is None or stored.name.startswith(f"{name}/"):
                path = Path(place) / stored.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(storage.read(stored.name) or b"")
        yield Path(place)


@dataclass(frozen=True)
class ShippedBundle:
    """The files of a bundle by name, what they must be, and the settings of its engine."""

    name: str
    version: int
    checksum: str
    release: str
    files: Mapping[str, bytes]
    settings: Settings

    @classmethod
    def pack(cls, bundle: Bundle, settings: Settings) -> Self:
        """Return a bundle to ship, without the API keys in the settings."""
        manifest = bundle.manifest
        files = {name: (bundle.folder / name).read_bytes() for name in (MANIFEST_FILE, *manifest.files)}
        settings = settings.model_copy(update={"keys": None})
        return cls(manifest.name, manifest.version, manifest.checksum, __version__, files, settings)

    def load(self) -> EngineScorer:
        """Return what scores on this machine: the files are compared with the manifest, and that with the checksum.

        Raises:
            ScoringError: it is another bundle, or another release is installed here.
            BundleError: a file differs from its checksum.
            EngineError: the engine is not installed here.
        """
        if __version__ != self.release:
            raise ScoringError(
                f"a node has release {__version__}, and the job was started with {self.release}; install the same one"
            )
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

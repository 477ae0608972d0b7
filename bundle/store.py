"""Bundles in folders `<root>/<name>/<version>/`: written to a staging folder, then renamed; verified before use."""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.codec import Codec
from bundle.errors import BundleNotFoundError, ChecksumError, ManifestError, VersionExistsError, explain
from bundle.files import flush, hash_file
from bundle.manifest import MANIFEST_FILE, Description, Manifest, Precision
from bundle.reference import REFERENCE_FILE, Reference
from bundle.sizes import check_size

MODEL_FILE = "model.keras"
ONNX_FILES: dict[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
MOST_VERSION = 10**15 - 1  # a JSON number that every client reads exactly; time stamps are smaller
VECTORS_FILE = "word-vectors.bin"  # shared by all ONNX files of a bundle

_VERSION = re.compile(f"[1-9][0-9]{{0,{len(str(MOST_VERSION)) - 1}}}")
_LIKE_VERSION = re.compile(r"[vV]?\d")  # the beginning of a name that somebody took for a version's


@dataclass(frozen=True)
class Bundle:
    """One verified bundle: its folder, its manifest, the codec for its inputs, and its reference if it has one."""

    folder: Path
    manifest: Manifest
    codec: Codec
    reference: Reference | None

    @property
    def model_path(self) -> Path:
        """The Keras model's file."""
        return self.folder / MODEL_FILE

    def onnx_path(self, precision: Precision) -> Path:
        """The ONNX file of a form that the manifest lists."""
        assert self.manifest.onnx is not None
        return self.folder / self.manifest.onnx.forms[precision].file


def open_bundle(folder: Path) -> Bundle:
    """Open the bundle in a folder, every file checked against its manifest.

    Raises:
        ManifestError: the manifest is missing, cannot be used, or does not fit the other files.
        SizeError: a file is too large, or all files together are.
        ChecksumError: a file is missing or differs from the published file.
    """
    manifest = Manifest.read(folder)
    size = 0
    for name, expected in manifest.files.items():
        try:
            size = check_size(folder / name, size)
            found = hash_file(folder / name)
        except OSError as error:
            raise ChecksumError(f"{folder / name} cannot be read ({explain(error)}); restore it") from error
        if found != expected:
            raise ChecksumError(
                f"{folder / name} has SHA-256 {found}, its manifest says {expected}; "
                "restore the file or train the bundle again"
            )
    required = {MODEL_FILE, *manifest.preprocessing.files}
    if manifest.onnx:
        required |= {form.file for form in manifest.onnx.forms.values()}
        if (folder / VECTORS_FILE).exists():  # the ONNX files refer to it
            required.add(VECTORS_FILE)
    if missing := required - manifest.files.keys():
        raise ManifestError(
            f"{folder / MANIFEST_FILE} does not list {', '.join(sorted(missing))}; train the bundle again"
        )
    reference = Reference.read(folder) if REFERENCE_FILE in manifest.files else None
    return Bundle(folder, manifest, manifest.preprocessing.open_codec(folder), reference)


class Store:
    """The bundles under one root folder."""

    def __init__(self, root: Path) -> None:
        """Take the root folder; the first publication makes it."""
        self.root = root

    def names(self) -> list[str]:
        """Return the names with at least one version, also with a misnamed one or an unreadable folder, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if self._may_have_versions(folder.name))

    def _may_have_versions(self, name: str) -> bool:
        try:
            return bool(self.versions(name) or self.misnamed(name))
        except OSError:  # opening the bundle will raise it
            return True

    def versions(self, name: str) -> list[int]:
        """Return the published versions of a name, in rising order.

        Raises:
            OSError: its folder cannot be read.
        """
        return sorted(int(number) for number in self._list_folders(name) if _VERSION.fullmatch(number))

    def misnamed(self, name: str) -> list[str]:
        """Return the folders of a name that are meant as versions but are not named so, such as `01` or `v1`, sorted.

        These are the folders whose names begin like a version's, and other folders with a manifest.

        Raises:
            OSError: the folder of the name cannot be read.
        """
        others = (folder for folder in self._list_folders(name) if not _VERSION.fullmatch(folder))
        return sorted(
            folder
            for folder in others
            if not folder.startswith(".")
            and (_LIKE_VERSION.match(folder) or os.path.exists(self.root / name / folder / MANIFEST_FILE))
        )

    def _list_folders(self, name: str) -> list[str]:
        folder = self.root / name
        return [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []

    def open(self, name: str, version: int | None = None) -> Bundle:
        """Open one version of a name, by default its latest.

        Raises:
            BundleNotFoundError: the store does not have it.
            ManifestError, SizeError, ChecksumError: see `open_bundle`; a ManifestError also if name or version differ
                from the bundle's folder, or if the folder of the name cannot be read.
        """
        try:
            versions = self.versions(name)
        except OSError as error:
            raise ManifestError(f"{self.root / name} cannot be read ({explain(error)}); make it readable") from error
        if not versions or (version is not None and version not in versions):
            wanted = name if version is None else f"{name} version {version}"
            known = ", ".join(map(str, versions or self.names())) or "none"
            have = f"its versions are {known}" if versions else f"the names are {known}"
            if misnamed := self.misnamed(name):
                have += f"; {', '.join(misnamed)} is ignored, because a version is a number such as 2: rename it"
            raise BundleNotFoundError(f"there is no bundle {wanted} in {self.root}; {have}")
        bundle = open_bundle(self.root / name / str(versions[-1] if version is None else version))
        manifest = bundle.manifest
        if bundle.folder != self.root / manifest.name / str(manifest.version):
            raise ManifestError(
                f"{bundle.folder} holds {manifest.name} version {manifest.version}; "
                f"move it to {self.root / manifest.name / str(manifest.version)}"
            )
        return bundle

    @contextmanager
    def stage(self, name: str) -> Iterator[Path]:
        """Provide a folder to write a bundle into; it is removed when the block ends, unless it was published.

        The folders above it that had to be made are removed too, unless they hold anything by then.
        """
        # Not tempfile.mkdtemp: its mode 0700 would stay with the published folder.
        folder = self.root / name / f".staged-{uuid.uuid4().hex}"
        made = [parent for parent in folder.parents if not parent.exists()]
        try:
            folder.mkdir(parents=True)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                for parent in made:
                    parent.rmdir()  # it fails if the folder is not empty

    def publish(self, staged: Path, description: Description, version: int | None = None) -> Bundle:
        """Publish a staged folder in one rename, by default as the next version of its name.

        Raises:
            VersionExistsError: the version exists already, perhaps published by another process meanwhile.
            ManifestError: the description does not fit the staged files.
            SizeError: the staged files are too large.
        """
        files = {path.name: hash_file(path) for path in sorted(staged.iterdir()) if path.name != MANIFEST_FILE}
        while True:
            number = max(self.versions(description.name), default=0) + 1 if version is None else version
            Manifest.seal(description, number, files).write(staged)
            bundle = open_bundle(staged)
            flush_folder(staged)
            target = self.root / description.name / str(number)
            try:
                os.rename(staged, target)  # fails if the target exists, because a published folder is never empty
            except OSError as error:
                if number not in self.versions(description.name):
                    raise
                if version is not None:
                    raise VersionExistsError(
                        f"{target} is published already and is never written over; choose another version"
                    ) from error
            else:
                flush(target.parent)
                return replace(bundle, folder=target)


def flush_folder(folder: Path) -> None:
    """Flush a folder and its files to disk, so that a power cut cannot leave a published folder with empty files."""
    for path in (*folder.iterdir(), folder):
        flush(path)

"""The versions of one model: which are loaded, which are refused, and which one answers a request."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from app.errors import ModelNotFoundError, ModelRefusedError
from app.runtime.batcher import Batcher
from app.runtime.policy import CANDIDATE
from bundle.manifest import Manifest
from bundle.store import Bundle

# A version of a request: its number, also as a text, the label of one, or None for the version that answers by default.
Selector = int | str | None

_NUMBER = re.compile(r"[1-9][0-9]{0,14}", re.ASCII)


@dataclass(frozen=True)
class Model:
    """A bundle that is loaded, and the batcher of its network."""

    bundle: Bundle
    batcher: Batcher
    encoding: asyncio.Lock  # of all models: requests that take long to encode do so one after the other

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self.bundle.manifest


@dataclass(frozen=True)
class Versions:
    """The versions of one model at one moment. It never changes: a change makes another one, in one assignment.

    Attributes:
        name: of the model.
        published: the numbers of all versions in the store, rising.
        loaded: the models that answer, by version.
        refused: why a version cannot be served, by version.
        labels: versions by label; each is loaded.
        answering: the version that answers requests that name none; None if none does.
        shadow_share: share of the requests that the candidate answers too.
        is_unloaded: whether the policy says that the model is not served.
        problem: why the versions are not as the policy says, or why folder or policy cannot be read; None if they are.
        misnamed: why folders beside the versions are ignored; None if there are none.
    """

    name: str
    published: tuple[int, ...] = ()
    loaded: Mapping[int, Model] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    answering: int | None = None
    shadow_share: float = 0.0
    is_unloaded: bool = False
    problem: str | None = None
    misnamed: str | None = None

    @cached_property
    def default(self) -> Model | None:
        """The model that answers a request without a version; None if none does: see `app.runtime.decision`."""
        return None if self.answering is None else self.loaded[self.answering]

    @cached_property
    def candidate(self) -> Model | None:
        """The model that answers shadow requests, if there is one besides the default."""
        number = self.labels.get(CANDIDATE)
        found = None if number is None else self.loaded[number]
        return None if found is self.default else found

    @property
    def why_none(self) -> str | None:
        """Why no version answers by default; None if one does, or if the model is not to be served."""
        if self.default or self.is_unloaded:
            return None
        return self.problem or (self.refused[max(self.refused)] if self.refused else self.misnamed)

    def find(self, version: Selector = None) -> Model:
        """Return the model that answers a request for a version.

        Raises:
            ModelNotFoundError: the version is not loaded, or there is no such label.
            ModelRefusedError: the version, or the only one there is, cannot be served.
        """
        if isinstance(version, str) and _NUMBER.fullmatch(version):
            version = int(version)
        number = self.labels.get(version) if isinstance(version, str) else version
        found = self.default if version is None else self.loaded.get(number or 0)
        if found is not None:
            return found
        why = self.why_none if version is None else self.refused.get(number or 0)
        if why is not None:
            of_version = "" if version is None else f" version {number}"
            raise ModelRefusedError(f"{self.name}{of_version} is refused: {why}")
        if self.is_unloaded:
            raise ModelNotFoundError(f"the model {self.name!r} is not loaded; an operator has unloaded it")
        if version is None:
            raise ModelNotFoundError(f"the model {self.name!r} has no version; publish one")
        loaded = ", ".join(map(str, sorted(self.loaded))) or "none"
        if isinstance(version, str):
            labels = ", ".join(sorted(self.labels)) or "none"
            raise ModelNotFoundError(
                f"there is no label {version!r} of {self.name}; labels: {labels}; loaded versions: {loaded}"
            )
        raise ModelNotFoundError(
            f"version {version} of {self.name} is not loaded; there are: {loaded}; give it a label to load it"
            if version in self.published
            else f"there is no version {version} of {self.name}; there are: {loaded}"
        )

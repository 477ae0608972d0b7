"""Keeps the versions of one model loaded as its folder and its policy say.

A version is loaded beside the others and answers only once its network has run. So a bad version never replaces a good
one, and a process that starts later chooses the same version as the processes that run already: the newest good one.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from app.engines import load_engine
from app.engines.base import Engine
from app.errors import EngineError, PolicyError, escape_surrogates
from app.runtime.policy import POLICY_FILE, Policy, read_policy
from app.runtime.versions import Model, Versions
from app.settings import Settings
from app.telemetry.metrics import count_refused, note_load
from bundle.errors import BundleError
from bundle.store import Bundle, Store

# What shows that the folder of a model has changed: paths in it, each with a number that changes with the file.
Signature = tuple[tuple[str, int], ...]

logger = logging.getLogger(__name__)


class Keeper:
    """The versions of one model. `versions` may be read in any thread; `follow` has one caller."""

    def __init__(self, name: str, store: Store, settings: Settings, serve: Callable[[Bundle, Engine], Model]) -> None:
        """Take the name; nothing is read before `follow`.

        Args:
            name: of the model, which is also its folder's.
            store: the store of all bundles.
            settings: of the service.
            serve: makes a model of a bundle and its engine.
        """
        self._name = name
        self._folder = store.root / name
        self._store = store
        self._settings = settings
        self._serve = serve
        self._policy = Policy()
        self._seen: Signature | None = None
        self._followed: Signature | None = None
        self._refused: dict[int, tuple[Signature, str]] = {}
        self.versions = Versions(escape_surrogates(name))

    def follow(self, at_once: bool = False) -> bool:
        """Load and unload versions if the folder has changed; return whether it had.

        A folder that differs from the call before may still be copied: the next call follows it, unless `at_once`.
        """
        seen = self._look()
        is_quiet = at_once or seen == self._seen
        self._seen = seen
        if not is_quiet or seen == self._followed:
            return False
        self._followed = seen
        self._follow()
        return True

    def _follow(self) -> None:
        before = self.versions
        try:
            published = self._store.versions(self._name)
            self._policy = read_policy(self._folder)
            problem = None
        except (OSError, PolicyError) as error:
            problem = self._hide_folder(str(error))
            logger.error("%s", error, extra={"model": before.name})
            published = list(before.published)
        policy = self._policy
        self._refused = {number: why for number, why in self._refused.items() if number in published}
        loaded = {number: model for number, model in before.loaded.items() if number in published}
        kept = self._load_wanted(published, loaded) if policy.is_loaded else set()
        # The labels that name no loaded version stay where they were.
        labels = {
            label: number if number in kept else before.labels.get(label, 0) for label, number in policy.labels.items()
        }
        labels = {label: number for label, number in labels.items() if number in loaded and policy.is_loaded}
        kept |= set(labels.values())
        self.versions = Versions(
            before.name,
            tuple(published),
            MappingProxyType({number: loaded[number] for number in sorted(kept)}),
            MappingProxyType({number: why for number, (_, why) in sorted(self._refused.items())}),
            MappingProxyType(labels),
            policy.shadow_share,
            not policy.is_loaded,
            problem,
        )
        self._log_changes(before)

    def _load_wanted(self, published: list[int], loaded: dict[int, Model]) -> set[int]:
        """Load the labelled versions and the newest good ones, into `loaded`; return the numbers of all of these."""
        kept = {number for number in self._policy.labels.values() if self._is_loaded(number, published, loaded)}
        newest = 0
        for number in reversed(published):
            if newest == self._settings.loaded_versions:
                break
            if self._is_loaded(number, published, loaded):
                kept.add(number)
                newest += 1
        return kept

    def _is_loaded(self, number: int, published: list[int], loaded: dict[int, Model]) -> bool:
        """Return whether a version is loaded, after an attempt to load it; a refused one must have changed for that."""
        if number in loaded:
            return True
        if number not in published:
            return False
        signature = _sign(self._folder / str(number))
        if self._refused.get(number, (None,))[0] == signature:
            return False
        model = self._load(number, signature)
        if model is None:
            return False
        loaded[number] = model
        self._refused.pop(number, None)
        return True

    def _load(self, number: int, signature: Signature) -> Model | None:
        started = time.monotonic()
        try:
            bundle = self._store.open(self._name, number)
            model = self._serve(bundle, load_engine(bundle, self._settings))
        except (BundleError, EngineError) as error:
            self._refuse(number, signature, str(error))
        except Exception:
            # One bundle that fails for any reason does not keep the others from being served.
            reason = "its network cannot be loaded; the service's log has the reason"
            self._refuse(number, signature, reason, exc_info=True)
        else:
            seconds = time.monotonic() - started
            note_load(self.versions.name, "loaded", seconds)
            fields = {"model": self.versions.name, "version": number, "seconds": round(seconds, 3)}
            logger.info("loaded", extra=fields)
            return model
        note_load(self.versions.name, "refused", time.monotonic() - started)
        return None

    def _refuse(self, number: int, signature: Signature, why: str, exc_info: bool = False) -> None:
        # A file in the folder may have any name, also one that is no text.
        why = escape_surrogates(why)
        place = {"model": self.versions.name, "version": number, "folder": str(self._folder / str(number))}
        logger.error("refused: %s", why, extra=place, exc_info=exc_info)
        self._refused[number] = signature, self._hide_folder(why)

    def _hide_folder(self, message: str) -> str:
        """Clients may see the names of models and files, but not where they are on the server."""
        return escape_surrogates(message).replace(f"{self._store.root}/", "")

    def _log_changes(self, before: Versions) -> None:
        now = self.versions
        for number in sorted(before.loaded.keys() - now.loaded.keys()):
            before.loaded[number].batcher.metrics.close()
            logger.info("unloaded", extra={"model": now.name, "version": number})
        count_refused(now.name, len(now.refused) or bool(now.problem))
        default, former = (each.default.manifest.version if each.default else None for each in (now, before))
        if default != former:
            logger.info("the version that answers by default", extra={"model": now.name, "version": default})

    def _look(self) -> Signature:
        """Return what the folder looks like now: its versions, its policy, and the files of versions to be loaded."""
        try:
            published = self._store.versions(self._name)
        except OSError as error:
            return ((str(error), 0),)
        newest = max(self.versions.loaded, default=0)
        new = [number for number in published if number > newest or number in self._refused]
        names = [POLICY_FILE, *map(str, new)]
        files = (entry for name in names for entry in _sign(self._folder / name))
        return (*((str(number), 0) for number in published), *files)


def _sign(path: Path) -> Signature:
    """Return the times and sizes of a file, or of a folder and each file in it."""
    signature = []
    try:
        for each in (path, *(sorted(path.iterdir()) if path.is_dir() else ())):
            status = each.stat()
            signature.append((str(each), hash((status.st_mtime_ns, status.st_size, status.st_ino))))
    except OSError:
        signature.append((str(path), 0))
    return tuple(signature)

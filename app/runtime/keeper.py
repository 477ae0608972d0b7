"""Keeps the versions of one model loaded as its folder and its policy say.

A version is loaded beside the others and answers only once its network has run. So a bad version never replaces a good
one, and a process that starts later chooses the same version as the processes that run already: the newest good one.
What failed because a file could not be read, or for lack of memory, is tried again after a pause, which doubles each
time.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from app.engines import load_engine
from app.engines.base import Engine
from app.errors import EngineError, PolicyError, escape_surrogates
from app.runtime.changes import describe_misnamed
from app.runtime.decision import decide
from app.runtime.policy import POLICY_FILE, Policy, keep_good_policy, read_good_policy, read_policy
from app.runtime.versions import Model, Versions
from app.settings import Settings
from app.telemetry.metrics import count_refused, note_load, show_faults
from bundle.errors import BundleError, explain
from bundle.manifest import MANIFEST_FILE
from bundle.store import Bundle, Store

# What shows that the folder of a model has changed: paths in it, each with a number that changes with the file.
Signature = tuple[tuple[str, int], ...]

SHORTEST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

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
        self._policy_folder = (settings.policies or store.root) / name
        self._store = store
        self._settings = settings
        self._serve = serve
        self._good: Policy | None = None  # the last good policy
        self._kept_good: Policy | None = None  # the one in the file
        self._seen: Signature | None = None
        self._followed: Signature | None = None
        self._manifests: dict[int, Signature] = {}  # of the versions that are loaded
        self._refused: dict[int, tuple[Signature | None, str]] = {}  # without a signature it is tried again
        self._retries_at: float | None = None
        self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self.versions = Versions(escape_surrogates(name))

    @property
    def has_followed(self) -> bool:
        """Whether `versions` are those of the folder; before, it may still be copied for the first time."""
        return self._followed is not None

    def follow(self, at_once: bool = False) -> bool:
        """Load and unload versions if the folder has changed; return whether it had.

        A folder that differs from the call before may still be copied: the next call follows it, unless `at_once`.
        """
        seen = self._look()
        is_quiet = at_once or seen == self._seen
        self._seen = seen
        is_due = self._retries_at is not None and time.monotonic() >= self._retries_at
        if not is_quiet or (seen == self._followed and not is_due):
            return False
        self._retries_at = None
        self._follow()
        if self._retries_at is None:
            self._pause_seconds = SHORTEST_PAUSE_SECONDS
        self._followed = seen
        return True

    def sign_policy(self) -> Signature:
        """Return what changes with the policy of the model."""
        return _sign(self._policy_folder / POLICY_FILE)

    def close(self) -> None:
        """Forget the versions: the model is gone, or the process ends."""
        for model in self.versions.loaded.values():
            model.batcher.metrics.close()
        count_refused(self.versions.name, 0)
        show_faults(self.versions.name, False)

    def _follow(self) -> None:
        before = self.versions
        published, misnamed = [*before.published], before.misnamed
        policy: Policy | None = None
        problem: str | None = None
        if not self.has_followed:
            self._good = self._kept_good = read_good_policy(self._policy_folder)
        try:
            published = self._store.versions(self._name)
            misnamed = describe_misnamed(self._store, self._name)
            policy = read_policy(self._policy_folder)
        except (OSError, PolicyError) as error:
            why = _explain(error, self._folder)
            problem = self._hide_folder(why)
            if _may_pass(error):
                self._try_again()
            if problem != before.problem:
                logger.error("%s", why, extra={"model": before.name})
        if misnamed and misnamed != before.misnamed:
            logger.warning("%s", misnamed, extra={"model": before.name})
        self._refused = {number: why for number, why in self._refused.items() if number in published}
        loaded = {number: model for number, model in before.loaded.items() if number in published}
        decided = decide(
            policy,
            self._good,
            published,
            lambda number: self._is_loaded(number, loaded),
            self._settings.loaded_versions,
        )
        if decided.policy.is_loaded and problem is None:
            problem = self._describe_missing(decided.policy, decided.labels, before)
        self._manifests = {number: self._manifests[number] for number in decided.kept}
        self.versions = Versions(
            before.name,
            tuple(published),
            MappingProxyType({number: loaded[number] for number in sorted(decided.kept)}),
            MappingProxyType({number: why for number, (_, why) in sorted(self._refused.items())}),
            MappingProxyType({**decided.labels}),
            decided.default,
            decided.policy.shadow_share,
            not decided.policy.is_loaded,
            problem,
            misnamed,
        )
        self._good = decided.good
        self._keep_good()
        self._log_changes(before)

    def _keep_good(self) -> None:
        """Keep the last good policy for processes that start later, if it says more than no policy, or is needed."""
        good = self._good
        is_needed = self.versions.problem is not None and self._kept_good is None
        if good is None or (good == (self._kept_good or Policy()) and not is_needed):
            return
        self._kept_good = good  # the next attempt is for the next one
        try:
            keep_good_policy(self._policy_folder, good)
        except OSError as error:
            logger.info(
                "the last good policy cannot be kept for processes that start later: %s",
                explain(error),
                extra={"model": self.versions.name},
            )

    def _describe_missing(self, policy: Policy, labels: Mapping[str, int], before: Versions) -> str | None:
        """Return which labels of the policy are not where it wants them, None if all are; and log it once."""
        missing = {label: number for label, number in policy.labels.items() if labels.get(label) != number}
        if not missing:
            return None
        problem = "; ".join(
            f"the label {label} is to be on version {number}, which is {self._describe(number)}; "
            + (f"it stays on version {labels[label]}" if label in labels else "no version has it")
            for label, number in missing.items()
        )
        if problem != before.problem:
            logger.error("%s", problem, extra={"model": before.name})
        return problem

    def _describe(self, number: int) -> str:
        return f"refused: {self._refused[number][1]}" if number in self._refused else "not there"

    def _is_loaded(self, number: int, loaded: dict[int, Model]) -> bool:
        """Return whether a version is loaded, after an attempt to load it into `loaded` if it is not, or was replaced.

        A version that was refused must have changed for that, or it may have failed for a reason that passes. One that
        was replaced by a bad one stays loaded as it was.
        """
        manifest = _sign(self._folder / str(number) / MANIFEST_FILE)
        if number in loaded and self._manifests[number] == manifest:
            return True
        signature = _sign(self._folder / str(number))
        if self._refused.get(number, (None,))[0] == signature:
            return number in loaded
        model = self._load(number, signature)
        if model is not None:
            loaded[number] = model
            self._manifests[number] = manifest
            self._refused.pop(number, None)
        return number in loaded

    def _load(self, number: int, signature: Signature) -> Model | None:
        started = time.monotonic()
        try:
            bundle = self._store.open(self._name, number)
            model = self._serve(bundle, load_engine(bundle, self._settings))
        except (BundleError, EngineError) as error:
            self._refuse(number, signature, str(error), error)
        except OSError as error:
            self._refuse(number, signature, _explain(error, self._folder / str(number)), error)
        except Exception as error:
            # One bundle that fails for any reason does not keep the others from being served.
            self._refuse(number, signature, "its network cannot be loaded; the service's log has the reason", error)
        else:
            seconds = time.monotonic() - started
            note_load(self.versions.name, "loaded", seconds)
            fields = {"model": self.versions.name, "version": number, "seconds": round(seconds, 3)}
            logger.info("loaded", extra=fields)
            return model
        note_load(self.versions.name, "refused", time.monotonic() - started)
        return None

    def _refuse(self, number: int, signature: Signature, why: str, error: Exception) -> None:
        # A file in the folder may have any name, also one that is no text.
        why = escape_surrogates(why)
        shown = self._hide_folder(why)
        if self._refused.get(number, (None, None))[1] != shown:
            place = {"model": self.versions.name, "version": number, "folder": str(self._folder / str(number))}
            is_expected = isinstance(error, BundleError | EngineError | OSError)
            logger.error("refused: %s", why, extra=place, exc_info=None if is_expected else error)
        may_pass = _may_pass(error)
        if may_pass:
            self._try_again()
        self._refused[number] = None if may_pass else signature, shown

    def _try_again(self) -> None:
        if self._retries_at is None:
            self._retries_at = time.monotonic() + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def _hide_folder(self, message: str) -> str:
        """Clients may see the names of models and files, but not where they are on the server."""
        return escape_surrogates(message).replace(f"{self._store.root}/", "")

    def _log_changes(self, before: Versions) -> None:
        now = self.versions
        for number, model in before.loaded.items():
            if now.loaded.get(number) is not model:
                model.batcher.metrics.close()
                logger.info("unloaded", extra={"model": now.name, "version": number})
        count_refused(now.name, len(now.refused))
        show_faults(now.name, now.problem is not None)
        default, former = (each.default.manifest.version if each.default else None for each in (now, before))
        if default != former:
            logger.info("the version that answers by default", extra={"model": now.name, "version": default})

    def _look(self) -> Signature:
        """Return what the folder looks like now.

        These are its versions, misnamed folders, its policy, the manifests of loaded versions, and the files of those
        to be loaded.
        """
        try:
            published = self._store.versions(self._name)
            misnamed = self._store.misnamed(self._name)
        except OSError as error:
            return ((_explain(error, self._folder), 0),)
        newest = max(self.versions.loaded, default=0)
        new = [number for number in published if number > newest or number in self._refused]
        paths = [
            self._policy_folder / POLICY_FILE,
            *(self._folder / str(number) / MANIFEST_FILE for number in self.versions.loaded),
            *(self._folder / str(number) for number in new),
        ]
        files = (entry for path in paths for entry in _sign(path))
        return (*((str(folder), 0) for folder in (*published, *misnamed)), *files)


def _explain(error: OSError | PolicyError, folder: Path) -> str:
    return str(error) if isinstance(error, PolicyError) else f"{folder} cannot be read: {explain(error)}"


def _may_pass(error: Exception) -> bool:
    """Return whether the next attempt may succeed, although no file has changed; a missing file has to come first."""
    causes = [each for each in (error, error.__cause__) if isinstance(each, OSError | MemoryError)]
    return bool(causes) and not any(isinstance(each, FileNotFoundError) for each in causes)


def _sign(path: Path) -> Signature:
    """Return what changes with a file, or with a folder and each file in it, also when its mode changes."""
    _, folders, files = next(os.walk(path), ("", [], []))
    return tuple((str(each), _identify(each)) for each in (path, *(path / name for name in sorted(folders + files))))


def _identify(path: Path) -> int:
    try:
        found = path.stat()
    except OSError:
        return 0
    return hash((found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino))

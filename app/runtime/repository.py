"""The models of a store: all that are loaded, kept as the store and its policies say, and the choice of one."""

import asyncio
import errno
import gc
import logging
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from app.container import release_memory
from app.engines.base import Engine
from app.errors import ModelNotFoundError, NotReadyError, RequestError, escape_surrogates
from app.runtime.batcher import Batcher
from app.runtime.changes import Changes
from app.runtime.defaults import choose_default_model
from app.runtime.keeper import Keeper
from app.runtime.pace import LoopTime
from app.runtime.versions import Model, Selector, Versions
from app.settings import Settings
from app.telemetry.metrics import ModelMetrics
from bundle.errors import explain
from bundle.store import Bundle, Store
from bundle.tasks import TASKS, Task

# A batch that takes longer than this runs in a thread. With fewer processes than cores, a thread has a core of its own,
# so only a batch that takes less time than a change of threads runs without one.
INLINE_SECONDS = 0.001
INLINE_SECONDS_OF_A_CORE = 0.05
# A change of a policy is followed after one to two of these, however rarely the folders of the versions are looked at.
POLICY_SECONDS = 0.2
# A version that is being loaded when the service ends is not waited for longer.
CLOSE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Repository:
    """The models of a store. Requests find them in the event loop's thread; another thread loads new versions."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store; nothing is read before `load`."""
        self.store = store
        self._settings = settings
        self._loop_time = LoopTime(INLINE_SECONDS_OF_A_CORE if settings.fills_cores else INLINE_SECONDS)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._encoding = asyncio.Lock()
        self._keepers: dict[str, Keeper] = {}  # by the name that clients use
        self._new: dict[str, Keeper] = {}  # those of folders that may still be copied for the first time
        self._missing: Set[str] = frozenset()  # names that the last look did not find
        self._needed: set[str] = set()  # models that answer, or that were there when the service started
        self.changes = Changes(store, settings)
        self._problem: str | None = None  # why the store cannot be read
        self._watcher: threading.Thread | None = None
        self._notices: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}  # of those who wait for a change
        self._is_closing = threading.Event()

    @property
    def models(self) -> Mapping[str, Versions]:
        """The versions of every model, also of those that cannot be served, by name."""
        return {name: keeper.versions for name, keeper in self._keepers.items()}

    def load(self) -> None:
        """Load every model; one that cannot be served does not keep the others from it."""
        self.follow(at_once=True)
        self._needed.update(self._keepers)
        # Models stay. Each garbage collection would look through them and stop requests for a moment.
        gc.collect()
        gc.freeze()
        if not self._keepers:
            where = f"in {self.store.root.resolve()}{f' ({self._problem})' if self._problem else ''}"
            logger.error("there are no models %s; train or mount some", where)

    def follow(self, at_once: bool = False) -> bool:
        """Load and unload what has changed in the store since the last call: see `Keeper.follow`."""
        try:
            names = self._list_names()
        except OSError as error:
            if (problem := explain(error)) != self._problem:
                self._problem = problem
                logger.error("the folder of the models cannot be read: %s", problem)
            return False
        self._problem = None
        # A folder may have any name, also one that is no text.
        by_name = {escape_surrogates(name): name for name in names}
        known = self._keepers | self._new
        has_changed = False
        for shown in by_name.keys() - known.keys():
            known[shown] = self._make_keeper(by_name[shown])
        missing = known.keys() - by_name.keys()
        for shown in missing & self._missing:  # twice, as a folder may be about to be replaced
            known.pop(shown).close()
            logger.info("the model is gone", extra={"model": shown})
            has_changed = True
        self._missing = missing
        for shown, keeper in known.items():
            if shown not in missing:
                has_changed |= keeper.follow(at_once)
        self._new = {shown: keeper for shown, keeper in known.items() if not keeper.has_followed}
        self._keepers = {shown: keeper for shown, keeper in known.items() if keeper.has_followed}
        self._needed.update(shown for shown, versions in self.models.items() if versions.loaded)
        return has_changed

    def watch(self) -> None:
        """Follow the store in a thread until `close`."""
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._watcher.start()

    @contextmanager
    def notice_changes(self) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the watcher has followed a change, while the block runs."""
        event = asyncio.Event()
        self._notices[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            del self._notices[event]

    def close(self) -> None:
        """End the threads, and the metrics of the models."""
        self._is_closing.set()
        if self._watcher:
            self._watcher.join(CLOSE_SECONDS)
        self._executor.shutdown()
        for keeper in self._keepers.values():
            keeper.close()

    def check_ready(self) -> None:
        """Return if the models that readiness needs are loaded: the ones that the settings name, or the default ones.

        These are the ones of the setting `default_models`, and for other tasks the model with the name of the task.
        Without such a model, any model is enough. One that came later is needed once it has answered.

        Raises:
            ModelRefusedError: one of them cannot be served.
            NotReadyError: one of them is missing, or there are no models.
        """
        models = self.models
        for name in self._settings.ready_models or self._list_needed_defaults(models):
            if name not in models:
                raise NotReadyError(f"there is no model {name!r}, which has to answer before the service is ready")
            if not models[name].is_unloaded:
                models[name].find()
        if not any(versions.loaded for versions in models.values()):
            raise NotReadyError("there are no models; train or mount some")

    def is_ready(self) -> bool:
        """Return whether `check_ready` raises nothing."""
        try:
            self.check_ready()
        except RequestError:
            return False
        return True

    def find_versions(self, name: str) -> Versions:
        """Return the versions of a model.

        Raises:
            ModelNotFoundError: there is no model of this name.
        """
        keepers = self._keepers
        if name in keepers:
            return keepers[name].versions
        raise ModelNotFoundError(f"there is no model {name!r}; there are: {', '.join(sorted(keepers)) or 'none'}")

    def find(self, name: str, version: Selector = None) -> Model:
        """Return the model of a name, by default the version that answers; see `Versions.find`.

        Raises:
            ModelNotFoundError: there is none, or the version is not loaded.
            ModelRefusedError: its bundle cannot be served.
        """
        return self.find_versions(name).find(version)

    def find_default(self, task: str) -> str:
        """Return the name of the model that answers requests of a task without a model: see `choose_default_model`.

        Raises:
            ModelNotFoundError: several models answer the task, and none of them is its default.
        """
        named = self._settings.default_models.get(task)
        return choose_default_model(task, named, self._keepers, lambda: self._list_models(task))

    def is_default(self, model: Model) -> bool:
        """Return whether a model answers requests of its task without a model."""
        try:
            return self.find_default(model.manifest.task) == model.manifest.name
        except ModelNotFoundError:
            return False

    def find_for(self, task: Task, name: str | None, version: Selector = None) -> Model:
        """Return the model of a name, by default the one that `find_default` names; see `find`.

        Raises:
            ModelNotFoundError: also if the model answers another task, or if there are several without a default.
        """
        model = self.find(name or self.find_default(task.name), version)
        if model.manifest.task != task.name:
            raise ModelNotFoundError(
                f"the model {model.manifest.name!r} answers {model.manifest.task}, not {task.name}; "
                f"models that do: {', '.join(self._list_models(task.name)) or 'none'}"
            )
        return model

    def draw_candidate(self, model: Model) -> Model | None:
        """Return the version that is to answer a request to a model too, for the share of them that the policy says.

        There is none if the model's folder is gone since the request began.
        """
        keeper = self._keepers.get(model.manifest.name)
        versions = keeper.versions if keeper else None
        if versions is None or versions.candidate is None or model is not versions.default:
            return None
        return versions.candidate if random.random() < versions.shadow_share else None

    def _list_needed_defaults(self, models: Mapping[str, Versions]) -> list[str]:
        named = self._settings.default_models
        there = self._needed & models.keys()
        return [*named.values(), *(task for task in TASKS if task not in named and task in there)]

    def _list_models(self, task: str) -> list[str]:
        """Return the names of the models that answer a task."""
        defaults = {name: versions.default for name, versions in sorted(self.models.items())}
        return [name for name, model in defaults.items() if model and model.manifest.task == task]

    def _watch(self) -> None:
        """Follow the store at its times, and twice when a policy has changed: see `Keeper.follow`."""
        seconds = self._settings.watch_ms / 1000
        follows_at = time.monotonic() + seconds
        policies = self._sign_policies()
        has_changed = False
        looks = 0  # that are due since a policy has changed
        while not self._is_closing.wait(min(max(0, follows_at - time.monotonic()), POLICY_SECONDS)):
            try:
                if has_changed:
                    has_changed = False
                    release_memory()  # of versions whose last requests have ended by now
                if (seen := self._sign_policies()) != policies:
                    policies, looks = seen, 2
                if not looks and time.monotonic() < follows_at:
                    continue
                looks = max(0, looks - 1)
                follows_at = time.monotonic() + seconds
                has_changed = self.follow()
                if has_changed:
                    self._notify()
            except Exception:
                logger.exception("the models cannot be followed")

    def _sign_policies(self) -> Mapping[str, object]:
        """Return what changes with the policies of the models."""
        return {name: keeper.sign_policy() for name, keeper in self._keepers.items()}

    def _notify(self) -> None:
        """Set the events of those who wait for a change."""
        for event, loop in [*self._notices.items()]:
            loop.call_soon_threadsafe(event.set)

    def _list_names(self) -> list[str]:
        """Return the names of the models in the store.

        Raises:
            OSError: it cannot be read, or it is gone: it may be about to be replaced.
        """
        if self._keepers and not self.store.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.store.root))
        return self.store.names()

    def _make_keeper(self, name: str) -> Keeper:
        return Keeper(name, self.store, self._settings, self._serve)

    def _serve(self, bundle: Bundle, engine: Engine) -> Model:
        manifest = bundle.manifest
        metrics = ModelMetrics(manifest.name, manifest.version, bundle.reference)
        batcher = Batcher(engine, self._executor, self._settings.max_queue, self._loop_time, metrics)
        return Model(bundle, batcher, self._encoding)

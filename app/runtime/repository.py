"""The models that are loaded, and the choice of one for a request."""

import asyncio
import gc
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from app.engines import load_engine
from app.errors import (
    EngineError,
    ModelNotFoundError,
    ModelRefusedError,
    NotReadyError,
    RequestError,
    escape_surrogates,
)
from app.runtime.batcher import Batcher
from app.runtime.pace import LoopTime
from app.settings import Settings
from app.telemetry.metrics import LOADS, MODELS, ModelMetrics
from bundle.errors import BundleError
from bundle.manifest import Manifest
from bundle.store import Bundle, Store
from bundle.tasks import TASKS, Task

# A batch that takes longer than this runs in a thread. With fewer processes than cores, a thread has a core of its own,
# so only a batch that takes less time than a change of threads runs without one.
INLINE_SECONDS = 0.001
INLINE_SECONDS_OF_A_CORE = 0.05

logger = logging.getLogger(__name__)


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


class Repository:
    """The latest version of every bundle in a store: loaded and warm, or with the reason why not."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Take the store; nothing is read before `load`."""
        self._store = store
        self._settings = settings
        self._loop_time = LoopTime(INLINE_SECONDS_OF_A_CORE if settings.fills_cores else INLINE_SECONDS)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._encoding = asyncio.Lock()
        self._models: dict[str, Model] = {}
        self._refused: dict[str, str] = {}

    @property
    def models(self) -> Mapping[str, Model]:
        """The models that answer, by name."""
        return MappingProxyType(self._models)

    @property
    def refused(self) -> Mapping[str, str]:
        """Why a bundle is not served, by name."""
        return MappingProxyType(self._refused)

    def load(self) -> None:
        """Load every bundle; one that cannot be served does not keep the others from it."""
        where = f"in {self._store.root.resolve()}"
        try:
            names = self._store.names()
        except OSError as error:
            names, where = [], f"{where} ({error})"
        for name in names:
            self._load(name)
        # Models stay. Each garbage collection would look through them and stop requests for a moment.
        gc.collect()
        gc.freeze()
        if not names:
            logger.error("there are no models %s; train or mount some and restart", where)

    def close(self) -> None:
        """End the thread that runs engines, and the metrics of the models."""
        self._executor.shutdown()
        for model in self._models.values():
            model.batcher.metrics.close()

    def check_ready(self) -> None:
        """Return if the models that readiness needs are loaded: the ones that the settings name, or the default ones.

        Without default models, any model is enough.

        Raises:
            ModelRefusedError: one of them cannot be served.
            NotReadyError: one of them is missing, or there are no models.
        """
        known = [*self._models, *self._refused]
        for name in self._settings.ready_models or [name for name in TASKS if name in known]:
            if name not in known:
                raise NotReadyError(f"there is no model {name!r}, which has to answer before the service is ready")
            self.find(name)
        if not self._models:
            raise NotReadyError("there are no models; train or mount some and restart")

    def is_ready(self) -> bool:
        """Return whether `check_ready` raises nothing."""
        try:
            self.check_ready()
        except RequestError:
            return False
        return True

    def find(self, name: str) -> Model:
        """Return the model of a name.

        Raises:
            ModelNotFoundError: there is none.
            ModelRefusedError: its bundle cannot be served.
        """
        if name in self._models:
            return self._models[name]
        if name in self._refused:
            raise ModelRefusedError(f"{name} is refused: {self._refused[name]}")
        names = ", ".join(sorted([*self._models, *self._refused]))
        raise ModelNotFoundError(f"there is no model {name!r}; there are: {names or 'none'}")

    def find_for(self, task: Task, name: str | None) -> Model:
        """Return the model of a name, by default the one that has the name of the task; see `find`.

        Raises:
            ModelNotFoundError: also if the model answers another task.
        """
        model = self.find(name or task.name)
        if model.manifest.task != task.name:
            others = [other for other, known in self._models.items() if known.manifest.task == task.name]
            raise ModelNotFoundError(
                f"the model {name!r} answers {model.manifest.task}, not {task.name}; "
                f"models that do: {', '.join(others) or 'none'}"
            )
        return model

    def _load(self, name: str) -> None:
        started = time.monotonic()
        try:
            bundle = self._store.open(name)
            engine = load_engine(bundle, self._settings)
        except (BundleError, EngineError) as error:
            self._refuse(name, str(error), started)
        except Exception:
            # One bundle that fails for any reason does not keep the others from being served.
            why = "its network cannot be loaded; the service's log has the reason"
            self._refuse(name, why, started, exc_info=True)
        else:
            metrics = ModelMetrics(name, bundle.manifest.version, bundle.reference)
            batcher = Batcher(engine, self._executor, self._settings.max_queue, self._loop_time, metrics)
            self._models[name] = Model(bundle, batcher, self._encoding)
            seconds = time.monotonic() - started
            LOADS.labels(name, "loaded").note(seconds)
            fields = {"model": name, "version": bundle.manifest.version, "seconds": round(seconds, 3)}
            logger.info("loaded", extra=fields)

    def _refuse(self, name: str, why: str, started: float, **log: Any) -> None:
        # A folder may have any name, also one that is no text.
        name, why = escape_surrogates(name), escape_surrogates(why)
        logger.error("refused: %s", why, extra={"model": name, "folder": str(self._store.root / name)}, **log)
        LOADS.labels(name, "refused").note(time.monotonic() - started)
        MODELS.labels(name, "", "refused").put(1)
        # Clients may see names of models and files, but not where they are on the server.
        self._refused[name] = why.replace(f"{self._store.root}/", "")

"""Which models are loaded and which one answers."""

import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.batcher import Batcher
from app.engines import load_engine
from app.errors import EngineError, ModelNotFoundError, ModelRefusedError, NotReadyError
from app.logs import annotate_request
from app.pace import INLINE_SECONDS, INLINE_SECONDS_OF_A_CORE, LoopTime
from app.predictors import NextLetterPredictor, Predictor, SentimentPredictor
from app.schemas import ModelSummary
from app.settings import Settings
from bundle.errors import BundleError
from bundle.letters import LetterCodec
from bundle.manifest import Task
from bundle.store import Bundle, Store

logger = logging.getLogger(__name__)


class Repository:
    """The latest version of every bundle in a store, loaded and warm, or with the reason why not."""

    def __init__(self, store: Store, settings: Settings, fills_cores: bool = False) -> None:
        """Take the store, and whether there is a process for every core; nothing is read before `load`."""
        self._store = store
        self._settings = settings
        self._loop_time = LoopTime(INLINE_SECONDS_OF_A_CORE if fills_cores else INLINE_SECONDS)
        self._engines = ThreadPoolExecutor(settings.engine_workers, thread_name_prefix="engine")
        self._names: list[str] = []
        self._unreadable = ""
        self._predictors: dict[str, Predictor] = {}
        self._refused: dict[str, str] = {}

    def load(self) -> None:
        """Load every bundle."""
        try:
            self._names = self._store.names()
        except OSError as error:
            self._unreadable = f" ({error})"
        for name in self._names:
            self._load_one(name)
        # What the models have made stays; looking through it would stop requests for a moment, again and again.
        gc.collect()
        gc.freeze()
        if not self._names:
            logger.error(self._no_models())

    def close(self) -> None:
        """End the threads that run the engines."""
        self._engines.shutdown()

    def check_ready(self) -> None:
        """Return if every model is loaded, and there is one.

        Raises:
            NotReadyError: there is none.
            ModelRefusedError: a model cannot be served.
        """
        if self._refused:
            raise ModelRefusedError("; ".join(f"{name} is refused: {why}" for name, why in self._refused.items()))
        if not self._predictors:
            raise NotReadyError(self._no_models())

    @property
    def is_refusing(self) -> bool:
        """Whether there is a model whose newest request had no place in its queue."""
        return any(predictor.batcher.is_refusing for predictor in self._predictors.values())

    def admit(self, task: Task, name: str, deadline: float) -> None:
        """Return unless there is a model of a name, or the task's default without one, whose queue has no place.

        Raises:
            OverloadedError, DeadlineError: see `Batcher.run`.
        """
        predictor = self._predictors.get(name or task)
        if predictor and predictor.task == task:
            annotate_request(model=name or task, version=predictor.bundle.manifest.version)
            predictor.batcher.admit(1, deadline)

    def next_letter(self, name: str | None) -> NextLetterPredictor:
        """Return the next-letter model of a name, or the task's default; see `find`."""
        predictor = self._find_for("next-letter", name)
        assert isinstance(predictor, NextLetterPredictor)
        return predictor

    def sentiment(self, name: str | None) -> SentimentPredictor:
        """Return the sentiment model of a name, or the task's default; see `find`."""
        predictor = self._find_for("sentiment", name)
        assert isinstance(predictor, SentimentPredictor)
        return predictor

    def find(self, name: str) -> Predictor:
        """Return the model of a name.

        Raises:
            ModelNotFoundError: there is none.
            ModelRefusedError: its bundle cannot be served.
        """
        if name in self._predictors:
            return self._predictors[name]
        if name in self._refused:
            raise ModelRefusedError(f"{name} is refused: {self._refused[name]}")
        raise ModelNotFoundError(f"there is no model {name!r}; there are: {', '.join(self._names) or 'none'}")

    def summaries(self) -> list[ModelSummary]:
        """Return every model in the store, by name."""
        return [self._summarise(name) for name in self._names]

    def _load_one(self, name: str) -> None:
        started = time.monotonic()
        try:
            self._predictors[name] = self._open(self._store.open(name))
        except (BundleError, EngineError) as error:
            self._refuse(name, str(error))
        except Exception:
            # Whatever the engine or the disk make of a bundle, the others are served.
            self._refuse(name, "its network cannot be loaded; the service's log has the reason", exc_info=True)
        else:
            manifest = self._predictors[name].bundle.manifest
            seconds = round(time.monotonic() - started, 3)
            logger.info("loaded", extra={"model": name, "version": manifest.version, "seconds": seconds})

    def _open(self, bundle: Bundle) -> Predictor:
        """Load one bundle."""
        codec, settings = bundle.codec, self._settings
        engine = load_engine(bundle, settings)
        batcher = Batcher(engine, self._engines, settings.engine_workers, settings.max_queue, self._loop_time)
        if isinstance(codec, LetterCodec):
            return NextLetterPredictor(bundle, codec, batcher)
        return SentimentPredictor(bundle, codec, batcher)

    def _find_for(self, task: Task, name: str | None) -> Predictor:
        name = name or task  # the default model of a task has its name
        predictor = self.find(name)
        annotate_request(model=name, version=predictor.bundle.manifest.version)
        if predictor.task != task:
            others = [other for other, known in self._predictors.items() if known.task == task]
            raise ModelNotFoundError(
                f"the model {name!r} answers {predictor.task}, not {task}; "
                f"models that do: {', '.join(others) or 'none'}"
            )
        return predictor

    def _summarise(self, name: str) -> ModelSummary:
        if name in self._refused:
            return ModelSummary(name=name, status="refused", detail=self._refused[name])
        manifest = self._predictors[name].bundle.manifest
        return ModelSummary(
            name=name,
            status="ready",
            task=manifest.task,
            version=manifest.version,
            default=name == manifest.task,
        )

    def _no_models(self) -> str:
        return f"there are no models in {self._store.root.resolve()}{self._unreadable}; train or mount some and restart"

    def _refuse(self, name: str, why: str, **log: Any) -> None:
        self._refused[name] = why
        logger.error("refused: %s", why, extra={"model": name}, **log)

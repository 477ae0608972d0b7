"""Engines, which run networks: one module each. `load_engine` chooses one."""

from importlib.util import find_spec

from app.engines.base import Engine
from app.errors import EngineError
from app.settings import PREFIX, Settings
from bundle.store import Bundle

_INSTALL = "install it (make serve ENGINE=tensorflow; with Docker, build TARGET=service-tensorflow)"


def load_engine(bundle: Bundle, settings: Settings) -> Engine:
    """Return the engine of a bundle, loaded and warm.

    Raises:
        EngineError: it needs TensorFlow, which is not installed.
        ManifestError: the network does not fit its manifest.
    """
    if settings.engine == "onnx" and bundle.manifest.onnx:
        from app.engines.onnx import OnnxEngine

        return OnnxEngine(
            bundle, None if settings.precision == "default" else settings.precision, settings.engine_threads
        )
    if not find_spec("tensorflow") or not find_spec("keras"):
        if bundle.manifest.onnx:
            raise EngineError(f"{PREFIX}ENGINE is tensorflow, which is not installed; {_INSTALL}, or unset it")
        raise EngineError(
            f"{bundle.folder} has no model.onnx, and TensorFlow is not installed; {_INSTALL}, or add the file where "
            f"training is installed (python -m training export {bundle.folder})"
        )
    from app.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(bundle, settings.engine_threads)

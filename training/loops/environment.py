"""The backend and the device of a training."""

import importlib
import os

import keras


def describe_environment() -> str:
    """Return the backend of Keras with its version, and the device: `torch 2.13.0 on 2 processor cores`."""
    name = keras.backend.backend()
    backend = importlib.import_module(name)
    if name == "torch":  # on PyTorch, Keras lists no devices
        device = backend.cuda.get_device_name() if backend.cuda.is_available() else ""
    else:
        devices = keras.distribution.list_devices()  # accelerators if there are any; JAX cannot list them alone
        device = ", ".join(device for device in devices if not device.startswith("cpu"))
    return f"{name} {backend.__version__} on {device or f'{os.cpu_count()} processor cores'}"

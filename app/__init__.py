"""The service. Imports `bundle`, never `training`."""

import os

__version__ = "0.1.0"

# Read when TensorFlow and Keras are imported, which takes seconds and is left to those who need them. Keras runs on
# TensorFlow here, whatever the user's own is set to.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Its oneDNN operations, which XLA does not use, are told of in a line that is no JSON.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ["KERAS_BACKEND"] = "tensorflow"

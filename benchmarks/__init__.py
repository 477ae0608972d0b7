"""Benchmarks of the service and its peers, on one machine with real reviews; run by hand.

Imports `bundle` and `training`. The service is measured from outside, over HTTP. From `app` it uses only the engines
(`service`, `engine`, `overhead`), the batcher for shares of padding (`engine`), and the defaults of the settings
(`parallelism`).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

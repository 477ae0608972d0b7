"""What the project costs and what its peers cost, measured on one machine with real reviews; run by hand.

Imports `bundle` and `training`. The service is measured from outside, as its users meet it. Of `app` only the engines
are run (`service`, `engine`, `overhead`), the batcher for shares of padding (`engine`), and the defaults of the
settings are read (`parallelism`).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

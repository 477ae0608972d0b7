"""What the project costs and what its peers cost, measured on one machine with real reviews; run by hand.

Imports `bundle` and `training`. The service is measured from outside, the way its users meet it; of `app` only the
engine is run (`engine`, `padding`, `overhead`), and the defaults of the settings are read (`parallelism`).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

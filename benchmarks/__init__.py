"""What the project costs and what its peers cost, measured on one machine with real reviews; run by hand.

Imports `bundle` and `training`, and never `app`, as the service is measured from outside, the way its users meet it;
only `engine` and what belongs to it look inside.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

"""Offline training: recipes, datasets, networks and reports that end in a published bundle.

Imports `bundle`, never `app`.
"""

# Before TensorFlow, which has the kernel give the whole process the matrix units that `bundle.amx` keeps from ONNX
# Runtime: so what a batch costs is measured here as it is in the service.
import bundle.onnx_session  # noqa: F401

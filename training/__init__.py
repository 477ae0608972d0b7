"""Offline training: from recipes and datasets to a published bundle, with reports.

Imports `bundle`, never `app`.
"""

# Imported before TensorFlow. TensorFlow makes the kernel give the whole process the matrix units, but `bundle.amx` must
# keep ONNX Runtime from them: batches are then measured here under the same conditions as in the service.
import bundle.onnx_session  # noqa: F401

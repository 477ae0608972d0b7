"""The contract between training and serving: codecs, manifest, store, and the session that runs an ONNX network.

Imports neither TensorFlow nor FastAPI, neither `training` nor `app`.
"""

"""The contract between training and serving: codecs, manifest, store, and how a network as ONNX is run.

Imports neither TensorFlow nor FastAPI, neither `training` nor `app`.
"""

"""The contract between training and serving: codecs, manifest and store.

Imports neither TensorFlow nor FastAPI, neither `training` nor `app`.
"""

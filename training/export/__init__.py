"""Networks as ONNX: translation, comparison with Keras, and 8-bit weights."""

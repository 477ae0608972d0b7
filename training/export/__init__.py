"""Networks as ONNX: translated, compared with Keras, and with weights of 8 bits."""

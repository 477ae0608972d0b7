"""The Keras networks, and the LSTM layer that PyTorch runs fast."""

"""Weights from PyTorch, and weights for it."""

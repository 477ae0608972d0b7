"""The user's own labelled texts: files to rows, labels, the split, and what is odd about them.

The package must not import Keras or TensorFlow, so that `check` answers at once. `reading.read` is the way in.
"""

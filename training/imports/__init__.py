"""Networks that were made elsewhere with Keras, as bundles of the task sentiment."""

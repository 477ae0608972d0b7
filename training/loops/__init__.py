"""Training loops: Keras' loop, and a loop that can be stopped and continued; with their environment."""

"""Training loops: the one of Keras, one that can be stopped and continued, and what they run on."""

"""Models and their queues, free of HTTP: from rows to the outputs of a network."""

"""Training of a review network that also judges phrases, sentences and texts of other domains."""

"""Training of the sentiment network in stages: language models, teachers, labels for all reviews, a student."""

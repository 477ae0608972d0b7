"""The sentiment network that is trained in stages: language models, teachers, labels for all reviews, a student."""

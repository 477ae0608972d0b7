"""Measures sentiment classifiers on other texts than film reviews: short, negated, changed, from other domains."""

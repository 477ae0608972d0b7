"""Offline training: recipes, datasets, networks and reports that end in a published bundle.

Imports `bundle`, never `app`.
"""

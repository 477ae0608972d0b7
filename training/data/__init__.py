"""The data that networks are trained and measured on: their sources and their coding."""

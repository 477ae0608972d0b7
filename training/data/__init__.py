"""The data that networks are trained and measured on: where they come from, and how they are coded."""

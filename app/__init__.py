"""The service. Imports `bundle`, never `training`."""

__version__ = "0.1.0"

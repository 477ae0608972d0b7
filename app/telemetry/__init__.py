"""What an operator sees of the service: logs and metrics."""

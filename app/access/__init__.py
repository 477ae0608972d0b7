"""Who may use the service, and how much: API keys and the limits of their clients. Imports no HTTP framework."""

"""The processes of a service: the supervisor, its workers, their sockets, and the limits of their container."""

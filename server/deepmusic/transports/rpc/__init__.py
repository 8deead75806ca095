"""gRPC: the services, what surrounds them, and a client."""

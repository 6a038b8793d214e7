"""The log in Redis and the service that keeps priorities over it."""

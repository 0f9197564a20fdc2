"""Compose files: their merged form, as `docker compose config` prints it, and what gputui derives from it."""

"""Compose files: what they say together, as `docker compose config` has it, and what gputui makes of it."""

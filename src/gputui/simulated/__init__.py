"""A whole server that does not exist: GPUs, engine, containers."""

"""A simulated server: GPUs, engine, containers."""

"""What a service needs on each of its GPUs."""

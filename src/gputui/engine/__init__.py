"""The container engine: Docker or Podman, through docker-py."""

"""What an edit, a step and a new container consist of."""

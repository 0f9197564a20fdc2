"""What an edit, a step and a new container are made of."""

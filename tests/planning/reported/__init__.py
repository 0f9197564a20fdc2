"""What people reported of models that they ran, as specifications of what the planning says of them."""

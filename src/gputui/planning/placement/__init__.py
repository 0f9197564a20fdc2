"""Which services go on which GPUs."""

"""The domain model: frozen values without input or output."""

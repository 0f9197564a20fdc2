"""Files and saved state."""

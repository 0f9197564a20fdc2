"""Values as text and styled runs: pure functions, no widget."""

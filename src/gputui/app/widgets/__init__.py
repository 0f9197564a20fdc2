"""The parts of the screen, one idea a file."""

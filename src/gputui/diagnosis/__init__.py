"""What is wrong with a host, and what to do about it: rules over values that are handed in."""

"""What is wrong with a host and how to fix it: pure rules over the values passed in."""

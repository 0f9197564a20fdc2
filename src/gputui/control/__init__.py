"""What holds state over time: behind one protocol, for the screen and the command line alike."""

"""What holds state over time, for the screen and the command line alike."""

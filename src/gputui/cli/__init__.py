"""The command line: gputui's functions as verbs, without the screen."""

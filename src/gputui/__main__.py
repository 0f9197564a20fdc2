"""`python -m gputui`."""

from gputui.main import main

if __name__ == "__main__":
    main()

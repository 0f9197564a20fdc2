"""Types of command-line arguments, which report an invalid value in one line."""

import argparse

from gputui.domain.text import real_number, whole_number


def interval(text: str) -> float:
    """Seconds between readings."""
    value = real_number(text) or 0.0
    if not 0.25 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.25 to 3600")
    return value


def seconds(text: str) -> float:
    """Seconds, up to a day."""
    value = real_number(text)
    if value is None or not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def count(text: str) -> int:
    """A count, at least 1."""
    value = whole_number(text, least=1, most=1_000_000)
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000000")
    return value


def path_alias(text: str) -> tuple[str, str]:
    """A pair of paths to the same place."""
    path, sign, alias = text.partition("=")
    if not sign or not path.startswith("/") or not alias.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a pair of paths: write it like /ceph=/fsx")
    return path, alias

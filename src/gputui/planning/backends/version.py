"""Which version of a serving program an image has, by its tag."""

import re

Version = tuple[int, int, int]

NEWEST: Version = (9999, 0, 0)
_TAG = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")


def version_of(image: str) -> Version | None:
    """`vllm/vllm-openai:v0.11.0` is 0.11.0, `latest` and `nightly` the newest; None for a digest, another tag, or
    another image."""
    last = image.partition("@")[0].rpartition("/")[2]
    name, colon, tag = last.partition(":")
    if name != "vllm-openai":
        return None  # others count their own versions
    if not colon:
        return None if "@" in image else NEWEST
    if tag.startswith(("latest", "nightly")):
        return NEWEST
    match = _TAG.match(tag)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))

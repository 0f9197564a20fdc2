"""Single lines of a service, of which the real program reads the ones and refuses the others."""

from pathlib import Path

from tests.compose.corpus import HOME, ROOT, WRAPPER, Laid

BESIDE = """\
  b: {image: y}
  c: {image: y, profiles: [pp]}
networks: {nn: {}}
volumes: {dd: }
secrets: {ss: {file: ./s}}
configs: {ss: {content: c}}
models: {mm: {model: ai/m}}
"""
"""What stands in the file beside the line's service."""
LINE = 4
"""Where the line stands when it is alone."""


def lines(kind: str) -> list[str]:
    """Those of `read` or of `refused`."""
    return (ROOT / "lines" / f"{kind}.txt").read_text().splitlines()


def with_lines(under: Path, *written: str) -> Laid:
    """A file in which each line is that of a service of its own: `s000`, `s001` and so on."""
    services = "".join(f"  s{place:03}:\n    image: x\n    {line}\n" for place, line in enumerate(written))
    (under / "compose.yml").write_text(f"services:\n{services}{BESIDE}")
    (under / "l.env").write_text('A=1\nB="x y"\n')
    return Laid(under, (under / "compose.yml",), {"HOME": HOME, "PATH": str(WRAPPER.parent)})

"""A hook of mkdocs: README, changelog and security policy become pages, the pictures go along, and links from a
document into the checkout lead to the repository."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text()))
    for path in sorted((ROOT / "screenshots").glob("*.svg")):
        files.append(File.generated(config, f"screenshots/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links that hold on the site."""
    folder = "" if page.file.src_uri in PAGES.values() else "docs"

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        on_site = PAGES.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(on_site) is not None or not (ROOT / path).exists():
            return on_site
        return f"{config.repo_url}/blob/main/{path}"

    return LINK.sub(target, markdown)

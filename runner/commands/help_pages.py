"""The pages of the documentation: the Markdown files of docs/, which the wheel holds too."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ..errors import VlmsweepError
from ..own_packages import ROOT

INSTALLED = Path(ROOT) / "vlmsweep" / "docs"  # see force-include in pyproject.toml
CHECKOUT = Path(ROOT) / "docs"
LINK = re.compile(r"\[([^\]]*)\]\(([\w-]+)\.md(?:#[\w-]*)?\)")


@dataclass(frozen=True, slots=True)
class HelpPage:
    """One page: its topic (the file's stem) and its first heading, without the markup."""

    topic: str
    title: str
    path: Path

    def markdown(self, is_command: bool = False) -> str:
        """The text; links to other pages are replaced by the commands that show them.

        `is_command`: the topic is a command's name, too; the last line names the command's help.
        """
        text = LINK.sub(command_of_link, self.path.read_text(encoding="utf-8"))
        note = f"\nThe options of the command: `vlmsweep {self.topic} --help`\n"
        return text + note if is_command else text


def docs_folder() -> Path:
    """The folder of the pages, in an installation or a checkout. Raises VlmsweepError."""
    if INSTALLED.is_dir():
        return INSTALLED
    # Next to an installed package, docs/ would be another project's.
    if (CHECKOUT / "sweep-file.md").is_file():
        return CHECKOUT
    raise VlmsweepError(
        f"the documentation is missing: there is no {INSTALLED}",
        hint="install vlmsweep again; vlmsweep COMMAND --help describes the options",
    )


def help_pages() -> dict[str, HelpPage]:
    """All pages by topic, in alphabetical order. Raises VlmsweepError if they are missing."""
    return {
        path.stem: HelpPage(path.stem, first_heading(path), path)
        for path in sorted(docs_folder().glob("*.md"))
    }


def list_topics(pages: Collection[HelpPage]) -> str:
    """The topics with their titles, one per line, and how to show one."""
    width = max(len(page.topic) for page in pages)
    lines = [f"{page.topic:<{width}}  {page.title}" for page in pages]
    usage = "vlmsweep help TOPIC shows a page, vlmsweep help COMMAND the options of a command."
    return "\n".join([*lines, "", usage])


def first_heading(path: Path) -> str:
    """The first heading of a Markdown file, without `#` and backquotes; the stem if it has none."""
    with path.open(encoding="utf-8") as file:
        line = next((line for line in file if line.startswith("# ")), f"# {path.stem}")
    return line.removeprefix("# ").strip().replace("`", "")


def command_of_link(link: re.Match[str]) -> str:
    """`text (vlmsweep help TOPIC)` for a link; the command only if the text is the file's name."""
    text, topic = link.groups()
    command = f"`vlmsweep help {topic}`"
    return command if text == f"{topic}.md" else f"{text} ({command})"

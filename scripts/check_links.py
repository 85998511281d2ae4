"""Dead links in the repository's Markdown: every relative link leads to a file, every anchor to a heading.

    python scripts/check_links.py [FILE …]

Addresses on the net are not followed: a check that fails when a server is down is not run for long.
"""

from __future__ import annotations

import re
import subprocess
import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
CODE = re.compile(r"^( *)```.*?^\1```\s*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as the documentation and code hosts make them."""
    text = re.sub(r"^( *)```.*?^\1```\s*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor for heading in HEADING.findall(text) for anchor in _slugs(heading)}


def _slugs(heading: str) -> set[str]:
    plain = re.sub(r"[`*]", "", heading).strip().lower()
    kept = re.sub(r"[^\w\s-]", "", plain)
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return {
        re.sub(r"\s", "-", kept),
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only)).strip("-"),
    }


def dead_links(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    found = []
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            found.append(f"{page}: {target}: there is no such file")
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            found.append(f"{page}: {target}: there is no such heading")
    return found


def main(names: list[str]) -> int:
    """Check the given files, or all Markdown files in git; 1 if a link is dead."""
    if not names:
        command = ["git", "ls-files", "-coz", "--exclude-standard", "--", "*.md"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        names = [str(ROOT / name) for name in listed.split("\0") if name and (ROOT / name).is_file()]
    dead = [line for name in names for line in dead_links(Path(name))]
    for line in dead:
        print(line, file=sys.stderr)
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

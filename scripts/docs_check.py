"""Execute what README and documentation show, in their order, and compare the output with what they claim.

    python scripts/docs_check.py [PAGE …]

Every fenced block says what it is:

- `console`: lines that start with `$ ` are run by bash; the lines below are their standard output.
- `python`: is run by this Python; a `text` block right below is its standard output. With `title="PATH"` any block is
  written to that file instead.
- A comment right above a `console` block, `<!-- run in the environment of brian2 -->`, gives its commands the Python of
  another simulator, from `.venv-peers-brian2`; `benchmarks/peers/setup_peers.sh` makes these environments.
- `sh`: is not run, and a comment right above says why: `<!-- not run: … -->`.
- `text`, `yaml`, `matlab`, `json`, `py` (parts of a notebook, which the tests run): are shown only.

In an output `…` stands for anything within a line, and a line of `…` alone for any lines. Everything runs in a copy of
the repository, so that a page may use what an earlier one made; the order of the pages is that of `PAGES`. Nothing that
`scripts/mpi_env.sh` sets is set: a reader's shell does not have it, so a page that starts MPI must set it. What
the commands leave behind must be files that git ignores: a reader who follows a page keeps a clean checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PAGES = (
    "README.md",
    "docs/guide/install.md",
    "docs/guide/first-sweep.md",
    "docs/guide/watching.md",
    "docs/guide/reading-a-map.md",
    "docs/guide/figures.md",
    "docs/guide/reading.md",
    "docs/guide/configuration.md",
    "docs/guide/python.md",
    "docs/guide/recordings.md",
    "docs/guide/cluster.md",
    "docs/guide/mass-models.md",
)
"""Pages with commands, in the order in which a reader would follow them; the others are looked through."""

SHOWN = ("text", "yaml", "matlab", "json", "py")
SECONDS = 900

FENCE = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]+)\")?\s*$")
EXCUSE = re.compile(r"^<!-- not run: .+ -->$")
ELSEWHERE = re.compile(r"^<!-- run in the environment of (\w+) -->$")
EXPORT = re.compile(r"^export (\w+)", re.MULTILINE)
COMMAND = re.compile(r"^(    |\t)(\$ )?(hpcmass|make|mpiexec|mpirun|srun|sbatch|python|pip|source|module) ")


class Wrong(Exception):
    """A page that does not hold."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and line, kind, title, lines, and the line above it."""

    page: str
    line: int
    kind: str
    title: str | None
    lines: list[str]
    above: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of a page; refuses commands that no fence makes checkable."""
    lines = text.splitlines()
    number = 0
    above = ""
    while number < len(lines):
        line = lines[number]
        if COMMAND.match(line):
            raise Wrong(f"{page}:{number + 1}: a command outside a fenced block is never checked: {line.strip()}")
        if fence := FENCE.match(line):
            indent, kind, title = fence.groups()
            end = next((n for n in range(number + 1, len(lines)) if lines[n].strip() == "```"), None)
            if end is None:
                raise Wrong(f"{page}:{number + 1}: a block without an end")
            yield Block(page, number + 1, kind, title, [x[len(indent) :] for x in lines[number + 1 : end]], above)
            number = end
            above = "```"
        elif line.strip():
            above = line.strip()
        number += 1


def matches(claimed: list[str], actual: list[str]) -> bool:
    """Whether an output is as claimed, `…` standing for anything."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
        for line in claimed
    )
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in actual)) is not None


class Reader:
    """Follows the pages in a copy of the repository."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.commands = 0
        self._known: set[str] = set()
        ours = set(EXPORT.findall((ROOT / "scripts" / "mpi_env.sh").read_text(encoding="utf-8")))
        self.environment = {name: value for name, value in os.environ.items() if name not in ours} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(place),
            "MPLBACKEND": "Agg",
        }

    def copy_repository(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.place / name)
                self._known.add(name)

    def left_behind(self) -> list[str]:
        """Files that the commands made, not the reader, and that git would show."""
        made = {str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file()} - self._known
        ignored = subprocess.run(
            ["git", "check-ignore", "--stdin", "-z"], cwd=ROOT, input="\0".join(made), capture_output=True, check=False,
            text=True,
        ).stdout  # fmt: skip
        return sorted(made - set(ignored.split("\0")))

    def follow(self, page: str) -> None:
        expected: tuple[Block, list[str]] | None = None
        for block in blocks(page, (ROOT / page).read_text(encoding="utf-8")):
            if block.title is not None:
                (self.place / block.title).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
                self._known.add(block.title)
            elif block.kind == "console":
                for command, claimed in _commands(block):
                    self._compare(block, command, claimed, self._run(block, ["bash", "-c", command]))
            elif block.kind == "python":
                expected = block, self._run(block, [sys.executable, "-c", "\n".join(block.lines)])
                continue
            elif block.kind == "text" and expected is not None and block.above == "```":
                self._compare(expected[0], "its Python code", block.lines, expected[1])
            elif block.kind == "sh":
                if not EXCUSE.match(block.above):
                    raise Wrong(f"{block.place}: say above why this is not run: <!-- not run: … -->")
            elif block.kind not in SHOWN:
                raise Wrong(f"{block.place}: say what the block is: console, python, sh, {', '.join(SHOWN)}")
            expected = None

    def _run(self, block: Block, command: list[str]) -> list[str]:
        self.commands += 1
        start = time.monotonic()
        environment = self._environment(block)
        done = subprocess.run(
            command, cwd=self.place, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        print(f"{block.place}: {command[-1].splitlines()[-1][:90]} ({time.monotonic() - start:.1f} s)", flush=True)
        if done.returncode:
            raise Wrong(f"{block.place}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        # what a block shows of a refusal is on standard error
        return (done.stdout if "exit code" not in command[-1] else done.stderr + done.stdout).splitlines()

    def _environment(self, block: Block) -> dict[str, str]:
        """The variables of a block's commands; in a simulator's environment `python` is its own."""
        found = ELSEWHERE.match(block.above)
        if found is None:
            return self.environment
        programs = ROOT / f".venv-peers-{found[1]}" / "bin"
        if not programs.is_dir():
            raise Wrong(f"{block.place}: there is no {programs.parent.name}; run benchmarks/peers/setup_peers.sh")
        path = f"{programs}{os.pathsep}{self.environment['PATH']}"
        return {name: value for name, value in self.environment.items() if name != "PYTHONPATH"} | {"PATH": path}

    def _compare(self, block: Block, what: str, claimed: list[str], actual: list[str]) -> None:
        if not matches(claimed, actual):
            shown = "\n".join(["claimed:", *claimed, "actual:", *actual])
            raise Wrong(f"{block.place}: {what} does not print what the page says\n{shown}")


def _commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    command: str | None = None
    claimed: list[str] = []
    for line in block.lines:
        if line.startswith("$ "):
            if command is not None:
                yield command, claimed
            command, claimed = line[2:], []
        elif command is None:
            raise Wrong(f"{block.place}: a console block starts with a command, `$ …`")
        else:
            claimed.append(line)
    if command is not None:
        yield command, claimed


def main(pages: list[str]) -> int:
    """Follow the pages; 1 if one of them is wrong."""
    others = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]
    with tempfile.TemporaryDirectory(prefix="hpcmass-docs-") as place:
        reader = Reader(Path(place))
        reader.copy_repository()
        try:
            for page in pages or [*PAGES, *(page for page in others if page not in PAGES)]:
                reader.follow(page)
            if left := reader.left_behind():
                raise Wrong(f"the commands leave files that .gitignore lacks: {', '.join(left[:9])}")
        except Wrong as wrong:
            print(wrong, file=sys.stderr)
            return 1
        except subprocess.TimeoutExpired as late:
            print(f"not done after {SECONDS} s: {late.cmd}", file=sys.stderr)
            return 1
    print(f"{reader.commands} commands, all as the pages say")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

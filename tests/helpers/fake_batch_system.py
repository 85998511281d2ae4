"""Shared by the fakes of qsub and bsub: reading a template's directives, and identifying themselves as fakes.

They are not schedulers. They know the options and the format of their values from the manuals, refuse any other, set
the variables that the manuals list, and run the job at once on this machine: no resources are allocated, no limit is
enforced, nothing is queued.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Options = dict[str, list[str]]

MOST_RANKS = 4
"""Most ranks that the fakes start: this is one small machine, a template's own numbers are for a cluster."""


def refuse(who: str, message: str) -> None:
    """End with 2 and a sentence."""
    raise SystemExit(f"fake {who}: {message}")


def parse(who: str, words: Sequence[str], known: Mapping[str, str | None]) -> tuple[Options, list[str]]:
    """Options with their values (a repeated one more than once), and the words that are none.

    `known` gives for each option the pattern of its value, None for one without a value.
    """
    options: Options = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        if who == "qsub" and len(word) > 2:
            # -lwalltime=1:00:00, as getopt has it.
            queue.insert(0, word[2:])
            word = word[:2]
        if word not in known:
            refuse(who, f"no option {word}")
        pattern = known[word]
        if pattern is None:
            options[word] = []
            continue
        value = queue.pop(0) if queue else ""
        if re.fullmatch(pattern, value) is None:
            refuse(who, f"{word} '{value}' has not the shape {pattern}")
        options.setdefault(word, []).append(value)
    return options, rest


def directives(who: str, marker: str, script: str, known: Mapping[str, str | None]) -> Options:
    """Options in the lines of the script's head that begin with the marker; they end at its first command."""
    words: list[str] = []
    for line in script.splitlines():
        if line.startswith(marker):
            words += shlex.split(line.removeprefix(marker), comments=False)
        elif line and not line.startswith("#"):
            break
    options, rest = parse(who, words, known)
    if rest:
        refuse(who, f"'{rest[0]}' among the {marker} lines is no option")
    return options


def require_few(who: str, ranks: int) -> None:
    """Refuse a job of more than a handful of ranks."""
    if ranks > MOST_RANKS:
        refuse(who, f"{ranks} ranks, where no more than {MOST_RANKS} are available")


def indices(text: str) -> list[int]:
    """The members of 1-4 or 1,3,7-9."""
    members: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        members += range(int(first), int(last or first) + 1)
    return members


def run(who: str, script: str, log: Path, environment: Mapping[str, str], directory: Path) -> int:
    """Run the job here and now; its output is appended to the log."""
    print(f"fake {who}, not the real one: nothing allotted, no limit kept; output in {log}", file=sys.stderr)
    with log.open("a") as output:
        command = ["bash", "-s"] if who == "bsub" else ["bash", "-c", script, "job"]
        code = subprocess.run(
            command,
            input=script if who == "bsub" else None,
            text=True,
            cwd=directory,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode
    print(f"fake {who}: the job ended with {code}", file=sys.stderr)
    return code

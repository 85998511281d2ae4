"""Fake bsub of LSF. It says that it is a fake: see fake_batch_system.py."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from fake_batch_system import directives, indices, parse, refuse, require_few, run

KNOWN = {
    "-J": r"[\w.-]+(\[\d+(-\d+)?(,\d+(-\d+)?)*\](%\d+)?)?",
    "-o": r".+",
    "-n": r"\d+",
    "-R": r"((span\[(ptile=\d+|hosts=1)\]|rusage\[mem=\d+(KB|MB|GB)?\])( (?=.)|$))+",
    "-W": r"(\d+:)?\d+",
    "-Q": r"\d+( \d+)*",
    "-r": None,
    "-P": r"\S+",
    "-q": r"\S+",
}
REQUEUES = 20


def main() -> None:
    given, rest = parse("bsub", sys.argv[1:], KNOWN)
    if rest:
        refuse("bsub", "the script comes by standard input: bsub < SCRIPT")
    script = sys.stdin.read()
    options = directives("bsub", "#BSUB ", script, KNOWN) | given
    require_few("bsub", int(options["-n"][-1]))
    name = options["-J"][-1]
    array = re.search(r"\[(.*)\]", name)
    number = os.getpid()
    again = {int(code) for code in options.get("-Q", [""])[-1].split()}
    for index in indices(array[1]) if array else [0]:
        environment = dict(os.environ) | {
            "LSB_JOBID": str(number),
            "LSB_JOBINDEX": str(index),
            "LSB_DJOB_NUMPROC": options["-n"][-1],
            "LSB_JOBNAME": name,
        }
        log = Path(options["-o"][-1].replace("%J", str(number)).replace("%I", str(index)))
        for _ in range(REQUEUES):
            if run("bsub", script, log, environment, Path.cwd()) not in again:
                break
    print(f"Job <{number}> is submitted to default queue <fake>.")


if __name__ == "__main__":
    main()

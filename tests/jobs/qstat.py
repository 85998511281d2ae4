"""A fake qstat of PBS Pro: `qstat -f JOB`, of jobs of the fake qsub. See fakes.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fakes import refuse


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] != "-f":
        refuse("qstat", "-f JOB?")
    job = Path(os.environ["FAKE_LOGS"]) / f"{sys.argv[2]}.qstat"
    if not job.is_file():
        refuse("qstat", f"unknown job id {sys.argv[2]}")
    print(job.read_text(), end="")


if __name__ == "__main__":
    main()

"""Fake qstat of PBS Pro: `qstat -f JOB`, of jobs of the fake qsub. See fake_batch_system.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fake_batch_system import refuse


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] != "-f":
        refuse("qstat", "-f JOB?")
    job = Path(os.environ["FAKE_BATCH_LOGS"]) / f"{sys.argv[2]}.qstat"
    if not job.is_file():
        refuse("qstat", f"unknown job id {sys.argv[2]}")
    print(job.read_text(), end="")


if __name__ == "__main__":
    main()

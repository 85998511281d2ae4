"""Full disks and parts of a job array: clear sentences, and nothing done is lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Installation, Truth, end, kill, ranks_of

MIB = 2**20


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes.

    Raises
    ------
    PermissionError
        Where nobody lets us mount one.
    """
    directory.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "hpcmass-faults", str(directory)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        raise PermissionError(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=False)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        for _ in range(max(0, shutil.disk_usage(disk).free - leave) // 65536):
            file.write(bytes(65536))
    return ballast


def disk_full(
    here: Installation, config: Path, truth: Truth, disk: Path, *, ranks: int, options: list[str], leave: int
) -> str:
    """Begin a sweep, fill the disk, go on into the full disk, make room, finish.

    Returns
    -------
    str
        What went otherwise than promised; empty if nothing.
    """
    path = disk / "sweep.h5"
    trials = truth.values["seed"][..., 0].size
    job = here.start(ranks, "run", config, "-o", path, *options)
    from kills import done_in

    while job.poll() is None and done_in(path) < trials // 10:
        pass
    kill([*ranks_of(path, here.python).values(), job.pid])
    end(job, path, here.python)
    before, _ = truth.wrong_in(path)
    ballast = fill(disk, leave)
    full = here.run(ranks, "run", config, "-o", path, *options)
    during, wrong = truth.wrong_in(path)
    ballast.unlink()
    last = here.run(ranks, "run", config, "-o", path, *options)
    problems = []
    if full.returncode != 2 or "space" not in full.stderr or "Traceback" in full.stderr:
        problems.append(f"on a full disk: {full.returncode} {full.stderr[-300:]}")
    if len(before) == trials:
        problems.append("the sweep ended before the disk was full")
    if wrong or before - during:
        problems.append(f"{wrong} wrong, {len(before - during)} lost")
    if last.returncode != 0 or not truth.equals(path):
        problems.append(f"with room again: {last.returncode} {last.stderr[:900]}")
    return "; ".join(problems)


def full_from_the_start(here: Installation, config: Path, disk: Path) -> str:
    """A sweep that cannot fit is refused before its first trial, and leaves nothing behind."""
    ballast = fill(disk, MIB // 4)
    refused = here.run(0, "run", config, "-o", disk / "sweep.h5")
    left = [p.name for p in disk.iterdir() if p != ballast]
    ballast.unlink()
    if refused.returncode == 2 and "free" in refused.stderr and "Traceback" not in refused.stderr and not left:
        return ""
    return f"{refused.returncode} {refused.stderr[-300:]} {left}"


def packing_into_a_full_disk(here: Installation, whole: Path, disk: Path) -> str:
    """A copy that does not fit is not left half-made."""
    ballast = fill(disk, MIB // 4)
    refused = here.run(0, "merge", "--pack", "-o", disk / "packed.h5", whole)
    left = [p.name for p in disk.iterdir() if p != ballast]
    ballast.unlink()
    if refused.returncode == 2 and "are free there" in refused.stderr and not left:
        return ""
    return f"{refused.returncode} {refused.stderr[-300:]} {left}"


def job_array(here: Installation, config: Path, truth: Truth, directory: Path, *, count: int = 8) -> list[str]:
    """Parts of which two are run twice, one of them after a kill, and one is missing at first.

    Returns
    -------
    list of str
        What went otherwise than promised.
    """
    problems = []
    parts = {i: directory / f"part-{i}-of-{count}.h5" for i in range(1, count + 1)}
    missing, killed, again = 5, 3, 7

    def run(i: int) -> None:
        done = here.run(0, "run", config, "-o", parts[i], "--part", f"{i}/{count}")
        if done.returncode != 0:
            problems.append(f"part {i}: {done.returncode} {done.stderr[-300:]}")

    job = here.start(0, "run", config, "-o", parts[killed], "--part", f"{killed}/{count}")
    from kills import done_in

    while job.poll() is None and done_in(parts[killed]) < 1:
        pass
    kill([job.pid])
    job.wait()
    for i in parts:
        if i not in (missing, killed):
            run(i)
    run(again)
    here_now = [parts[i] for i in parts if i != missing]
    refused = here.run(0, "merge", "-o", directory / "all.h5", *here_now)
    if refused.returncode != 2 or f"part {missing} of {count} is missing" not in refused.stderr:
        problems.append(f"merge does not name the missing part: {refused.returncode} {refused.stderr[-300:]}")
    if f"part {killed} of {count} is not finished" not in refused.stderr:
        problems.append(f"merge does not name the unfinished part: {refused.stderr[-300:]}")
    run(killed)
    run(missing)
    for name, options in (("all.h5", []), ("packed.h5", ["--pack"])):
        merged = here.run(0, "merge", "-o", directory / name, *options, *parts.values())
        if merged.returncode != 0 or not truth.equals(directory / name):
            problems.append(f"merge into {name}: {merged.returncode} {merged.stderr[-300:]}")
        checked = here.run(0, "check", directory / name)
        if checked.returncode != 0:
            problems.append(f"check {name}: {checked.stdout} {checked.stderr}")
    return problems

"""Full disks, limits on file sizes, and a job array: clear sentences, and nothing done is lost."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ballast import ballast_of, fill
from harness import Index, Installation, Truth, Writer, datasets, done_in, end, kill, ranks_of

MIB = 2**20


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes.

    Raises
    ------
    PermissionError
        If mounting is not permitted.
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


def _refused(done: subprocess.CompletedProcess[str], words: str) -> bool:
    """Whether a command ended with exit code 2 and one sentence of its own that has some words."""
    said = done.stderr.strip()
    errors = [line for line in said.splitlines() if line.startswith("hpcmass") and words in line]
    return done.returncode == 2 and len(errors) == 1 and "Traceback" not in said


def _begun(here: Installation, config: Path, path: Path, writer: Writer, trials: int) -> None:
    """A sweep that is killed when so many trials are done."""
    job = here.start(here.command(writer.ranks, "run", config, "-o", path, *writer.options))
    while job.poll() is None and done_in(path) < trials:
        pass
    kill([*ranks_of(path, here.python).values(), job.pid])
    end(job, path, here.python)


def disk_full(here: Installation, config: Path, truth: Truth, disk: Path, *, writer: Writer, leave: int) -> str:
    """Begin a sweep, fill the disk, continue into the full disk, make room, finish.

    Returns
    -------
    str
        Deviations from the guarantees; empty if there are none.
    """
    path = disk / "sweep.h5"
    arguments = ("run", config, "-o", path, *writer.options)
    _begun(here, config, path, writer, truth.trials // 10)
    before, _ = truth.wrong_in(path)
    fill(disk, leave)
    full = here.run(writer.ranks, *arguments)
    during, wrong = truth.wrong_in(path)
    ballast_of(disk).unlink()
    last = here.run(writer.ranks, *arguments)
    problems = []
    if not _refused(full, "space"):
        problems.append(f"on a full disk: {full.returncode} {full.stderr[-300:]}")
    if len(before) == truth.trials:
        problems.append("the sweep ended before the disk was full")
    if wrong or before - during:
        problems.append(f"{wrong} wrong, {len(before - during)} lost")
    if last.returncode != 0 or not truth.equals(path):
        problems.append(f"with room again: {last.returncode} {last.stderr[:900]}")
    return "; ".join(problems)


def full_before(here: Installation, disk: Path, words: str, *arguments: object, ranks: int = 0) -> str:
    """A command whose output does not fit is refused before it begins, and leaves nothing behind.

    Parameters
    ----------
    words : str
        Of the sentence.
    *arguments
        Of `hpcmass`, its output on the disk among them.
    """
    fill(disk, MIB // 16)
    refused = here.run(ranks, *arguments)
    left = [p.name for p in disk.iterdir() if p != ballast_of(disk)]
    ballast_of(disk).unlink()
    if _refused(refused, words) and not left:
        return ""
    return f"{refused.returncode} {refused.stderr[-300:]} {left}"


def full_while_merging(here: Installation, truth: Truth, whole: Path, disk: Path) -> str:
    """The disk fills up in the middle of a copy; with room again the same command continues it."""
    path = disk / "merged.h5"
    arguments = ("merge", "-o", path, whole)
    full = here.execute(here.struck(0, "fill", 5 * truth.trials, *arguments))
    done, wrong = truth.wrong_in(path)
    ballast_of(disk).unlink()
    last = here.run(0, *arguments)
    if _refused(full, "space") and not wrong and not done and last.returncode == 0 and truth.equals(path):
        return ""
    return f"{full.returncode} {full.stderr[-300:]}; {wrong} wrong; {last.returncode} {last.stderr[-300:]}"


def full_while_packing(here: Installation, truth: Truth, whole: Path, disk: Path) -> str:
    """The disk fills up in the middle of a packed copy: nothing is left of it."""
    path = disk / "packed.h5"
    arguments = ("merge", "--pack", "-o", path, whole)
    full = here.execute(here.struck(0, "reserve", 9, *arguments))
    left = [p.name for p in disk.iterdir() if p != ballast_of(disk)]
    ballast_of(disk).unlink()
    last = here.run(0, *arguments)
    if _refused(full, "space") and not left and last.returncode == 0 and truth.equals(path):
        return ""
    return f"{full.returncode} {full.stderr[-300:]} {left}; {last.returncode} {last.stderr[-300:]}"


def full_while_comparing(here: Installation, whole: Path, undisturbed: Path, disk: Path) -> str:
    """A comparison reserves all its space at the start, so a disk that fills up does not affect it."""
    path = disk / "comparison.h5"
    done = here.execute(here.struck(0, "fill", 20, "compare", whole, "-o", path))
    if done.returncode == 0 and datasets(path) == datasets(undisturbed):
        return ""
    return f"{done.returncode} {done.stderr[-300:]}"


def size_limits(here: Installation, config: Path, truth: Truth, whole: Path, directory: Path) -> list[str]:
    """`ulimit -f` below the size of every output: one sentence that names it, and nothing changes.

    Returns
    -------
    list of str
        Deviations from the guarantees.
    """
    limit_kib = whole.stat().st_size // 2048
    problems = []

    def refused(path: Path, ranks: int, *arguments: object, kib: int = limit_kib) -> None:
        done = here.run(ranks, *arguments, "-o", path, file_limit_kib=kib)
        left = [p.name for p in directory.iterdir() if p.name.startswith(f".{path.name}")]
        if not _refused(done, "ulimit -f") or left:
            problems.append(f"{' '.join(map(str, arguments[:2]))}: {done.returncode} {done.stderr[-300:]} {left}")

    for writer in here.writers:
        path = directory / f"limited-{writer.slug}.h5"
        refused(path, writer.ranks, "run", config, *writer.options)
        if path.exists():
            problems.append(f"{writer.name}: a file was left")
        _begun(here, config, path, writer, truth.trials // 10)
        before, _ = truth.wrong_in(path)
        refused(path, writer.ranks, "run", config, *writer.options)
        if truth.wrong_in(path) != (before, 0):
            problems.append(f"{writer.name}: the file has changed")
        last = here.run(writer.ranks, "run", config, "-o", path, *writer.options)
        if last.returncode != 0 or not truth.equals(path):
            problems.append(f"{writer.name}: without the limit {last.returncode} {last.stderr[-300:]}")
    for name, command, kib in (
        ("merged", ("merge", whole), limit_kib),
        ("packed", ("merge", "--pack", whole), limit_kib // 2),
        ("compared", ("compare", whole), 300),
    ):
        path = directory / f"limited-{name}.h5"
        refused(path, 0, *command, kib=kib)
        if path.exists():
            problems.append(f"{name}: a file was left")
    return problems


def job_array(here: Installation, config: Path, truth: Truth, directory: Path, *, count: int = 8) -> list[str]:
    """Parts of which two are run twice, one of them after a kill, and one is missing at first.

    Returns
    -------
    list of str
        Deviations from the guarantees.
    """
    problems = []
    parts = {i: directory / f"part-{i}-of-{count}.h5" for i in range(1, count + 1)}
    missing, killed, again = 5, 3, 7

    def run(i: int) -> None:
        done = here.run(0, "run", config, "-o", parts[i], "--part", f"{i}/{count}")
        if done.returncode != 0:
            problems.append(f"part {i}: {done.returncode} {done.stderr[-300:]}")

    job = here.start(here.command(0, "run", config, "-o", parts[killed], "--part", f"{killed}/{count}"))
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
    some = here.run(0, "merge", "--partial", "-o", directory / "all.h5", *here_now)
    done, wrong = truth.wrong_in(directory / "all.h5")
    if some.returncode != 0 or wrong or len(done) == truth.trials:
        problems.append(f"merge --partial: {some.returncode} {some.stderr[-300:]}, {wrong} wrong")
    run(killed)
    run(missing)
    for name, options in (("all.h5", []), ("packed.h5", ["--pack"])):  # the first continues the partial one
        merged = here.run(0, "merge", "-o", directory / name, *options, *parts.values())
        if merged.returncode != 0 or not truth.equals(directory / name):
            problems.append(f"merge into {name}: {merged.returncode} {merged.stderr[-300:]}")
        checked = here.run(0, "check", directory / name)
        if checked.returncode != 0:
            problems.append(f"check {name}: {checked.stdout} {checked.stderr}")
    return problems


def full_while_plotting(here: Installation, comparison: Path, disk: Path, leave: int) -> str:
    """Pictures meet a full disk: those that are there are whole; with room again `--force` draws all of them."""
    undisturbed, maps = disk.parent / "undisturbed-maps", disk / "maps"
    if not undisturbed.exists():
        assert here.run(0, "plot", comparison, "-o", undisturbed).returncode == 0
    fill(disk, leave)
    full = here.run(0, "plot", comparison, "-o", maps)
    broken = [p.name for p in maps.glob("*") if p.read_bytes() != (undisturbed / p.name).read_bytes()]
    hidden = [p.name for p in maps.glob(".*")]
    ballast_of(disk).unlink()
    last = here.run(0, "plot", comparison, "-o", maps, "--force")
    same = all((maps / p.name).read_bytes() == p.read_bytes() for p in undisturbed.iterdir())
    if _refused(full, "space") and not broken and not hidden and last.returncode == 0 and same:
        return ""
    return f"{full.returncode} {full.stderr[-300:]} {broken} {hidden}; {last.returncode} {last.stderr[-300:]}"


LEAST_LIMIT_KIB = 49

REFUSED_OR_DONE = (0, 2, 3, 75)
"""Exit codes under a limit on file sizes."""


def random_limits(
    here: Installation, config: Path, truth: Truth, whole: Path, directory: Path, *, tries: int, chance: random.Random
) -> tuple[Counter[int], list[str]]:
    """Every writing command under limits on file sizes between 50 kB and what it writes.

    Returns
    -------
    codes : Counter
        Exit codes of the commands.
    problems : list of str
        What ended with another exit code, with a signal or with a traceback, left a temporary file, or harmed a sweep.
    """
    codes: Counter[int] = Counter()
    problems = []
    compared = directory / "compared.h5"
    assert here.run(0, "compare", whole, "-o", compared).returncode == 0
    begun = {}
    for writer in here.writers:
        begun[writer] = directory / f"begun-{writer.slug}.h5"
        _begun(here, config, begun[writer], writer, truth.trials // 10)
    out = directory / "out"
    size, size_compared = whole.stat().st_size, compared.stat().st_size
    point = ("--p", "0.5", "--lam", "0.5")
    kinds: list[tuple[int, int, tuple[object, ...]]] = [  # ranks, size of the output, command
        *((w.ranks, size, ("run", config, "-o", out / "sweep.h5", *w.options)) for w in here.writers),
        *((w.ranks, size, ("run", config, "-o", out / "begun.h5", *w.options)) for w in here.writers),
        (0, size // 3, ("run", config, "-o", out / "part.h5", "--part", "1/3")),
        (0, size, ("run", config, "-o", out / "reused.h5", "--reuse", begun[here.writers[0]])),
        (0, size, ("merge", "-o", out / "merged.h5", whole)),
        (0, size // 2, ("merge", "--pack", "-o", out / "packed.h5", whole)),
        (0, size_compared, ("compare", whole, "-o", out / "cmp.h5")),
        (0, size_compared, ("compare", whole, "-o", out / "cmp.h5", "-j", 2)),
        (3, size_compared, ("compare", whole, "-o", out / "cmp.h5")),
        (0, 2 * MIB, ("plot", compared, "-o", out / "maps")),
        (0, MIB, ("plot", compared, "-o", out / "maps", "--formats", "pdf,svg")),
        (0, 200_000, ("trial", config, *point, "-o", out / "trial.h5", "--plot")),
    ]
    if here.mpi.startswith("MPICH"):  # its shared memory, some MB a rank, counts as files: it does not start
        kinds = [kind for kind in kinds if not kind[0]]
    for number in range(tries):
        ranks, most, command = chance.choice(kinds) if number >= len(kinds) else kinds[number]
        kib = round(LEAST_LIMIT_KIB * math.exp(chance.uniform(0, math.log(max(2.0, most / 1024 / LEAST_LIMIT_KIB)))))
        out.mkdir()
        before: set[Index] = set()
        if out / "begun.h5" in command:
            source = begun[next(w for w in here.writers if w.ranks == ranks and set(w.options) <= set(command))]
            shutil.copyfile(source, out / "begun.h5")
            before = truth.wrong_in(out / "begun.h5")[0]
        caches = {"MPLCONFIGDIR": str(out / "matplotlib")} if chance.random() < 0.5 else {}
        if chance.random() < 0.1:
            caches["NUMBA_CACHE_DIR"] = str(out / "kernels")
        new = replace(here, env=here.env | caches)
        done = new.run(ranks, *command, file_limit_kib=kib)
        codes[done.returncode] += 1
        what = f"{' '.join(map(str, command))} on {ranks} ranks under {kib} KiB {caches}"
        if done.returncode not in REFUSED_OR_DONE or "Traceback" in done.stderr:
            problems.append(f"{what}: {done.returncode} {done.stderr[-600:]}")
        if hidden := [p.name for p in out.rglob(".*") if not any(str(p).startswith(c) for c in caches.values())]:
            problems.append(f"{what}: left {hidden}")
        for path in out.glob("*.h5"):
            if path.name not in ("cmp.h5", "trial.h5", "part.h5"):
                after, wrong = truth.wrong_in(path)
                if wrong or before - after:
                    problems.append(f"{what}: {wrong} wrong, {len(before - after)} lost in {path.name}")
        shutil.rmtree(out)
    return codes, problems

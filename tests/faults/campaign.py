"""The fault campaign: inject every fault that the documentation calls harmless, and print a table of the outcomes.

    python tests/faults/campaign.py [--kills 4] [--trials 100000] [--seed 1] [--also VENV …] [--only kills …]

Exit code 1 if any guarantee was broken.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

from copies import compare_kills, merge_kills
from damage import broken_checksum, damaged_files
from disks import (
    MIB,
    disk_full,
    full_before,
    full_while_comparing,
    full_while_merging,
    full_while_packing,
    full_while_plotting,
    job_array,
    random_limits,
    size_limits,
    small_disk,
)
from harness import Installation, Truth, reference, this_installation, write_config
from in_situ import in_situ_kills
from kills import RANDOM_INSTANTS, kill_campaign
from random_damage import commands_for_comparison, commands_for_sweep, random_damage
from scale import Scale, at_scale
from stops import ctrl_c, signals, time_limits
from syscalls import calls_of

FAULTS = ("kills", "in-situ", "copies", "stops", "disks", "limits", "array", "damage", "random", "sizes", "calls")


class Table:
    """The rows: the fault, the outcome, whether it is as guaranteed."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, bool]] = []
        self.kills = 0
        self._start = time.monotonic()

    def add(self, what: str, happened: str, good: bool) -> None:
        self.rows.append((what, happened, good))
        minutes = (time.monotonic() - self._start) / 60
        print(f"[{minutes:4.1f} min] {'ok  ' if good else 'BAD '} {what}: {happened}", flush=True)

    def markdown(self) -> str:
        lines = ["| fault | outcome | as guaranteed |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {w} | {h} | {'yes' if g else '**no**'} |" for w, h, g in self.rows)])


def kills(table: Table, here: Installation, config: Path, truth: Truth, place: Path, count: int, seed: int) -> None:
    """So many kills of each victim, writer by writer."""
    for writer in here.writers:
        victims = (*RANDOM_INSTANTS, "storing") if writer.has_workers else ("all", "storing")
        for victim in victims:
            directory = place / "kills"
            directory.mkdir()
            chance = random.Random(f"{seed} {here.mpi} {writer.name} {victim}")
            toll = kill_campaign(
                here, config, truth, directory, kills=count, writer=writer, victim=victim, chance=chance
            )
            who = {"storing": "rank 0 while it stores", "all": "all ranks"}.get(victim, victim)
            if not writer.has_workers:
                who = {"storing": "the process, while it stores", "all": "the process, at any instant"}[victim]
            table.add(f"SIGKILL of {who}, {writer.name}, {here.mpi}", str(toll), toll.clean)
            table.kills += toll.kills
            shutil.rmtree(directory)


def comparing(table: Table, here: Installation, place: Path, count: int, seed: int) -> None:
    """Kills of sweeps that compare during the run, without traces and with all, writer by writer."""
    config = write_config(place / "comparing.yml", trials=12)
    truth = reference(here, config)
    for keep, writer in product(("none", "all"), here.writers):
        directory = place / "in-situ"
        directory.mkdir()
        chance = random.Random(f"{seed} {here.mpi} {writer.name} in situ {keep}")
        toll = in_situ_kills(here, config, truth, directory, kills=count, writer=writer, keep=keep, chance=chance)
        what = "without traces" if keep == "none" else "with all traces"
        table.add(f"SIGKILL of `run --compare` {what}, {writer.name}, {here.mpi}", str(toll), toll.clean)
        table.kills += toll.kills
        shutil.rmtree(directory)


def copies(table: Table, here: Installation, config: Path, truth: Truth, place: Path, count: int, seed: int) -> None:
    """Kills of `merge` and `compare`."""
    chance = random.Random(f"{seed} copies")
    for packed in (False, True):
        directory = place / f"merge-{packed}"
        directory.mkdir()
        toll = merge_kills(here, config, truth, directory, kills=count, packed=packed, chance=chance)
        table.add("SIGKILL of `merge --pack`" if packed else "SIGKILL of `merge`", str(toll), toll.clean)
        table.kills += toll.kills
        shutil.rmtree(directory)
    for ranks, jobs in ((0, 0), (0, 2), (3, 0)):
        directory = place / f"compare-{ranks}-{jobs}"
        directory.mkdir()
        sweep = config.with_suffix(".reference.h5")
        toll = compare_kills(here, sweep, directory, kills=count, ranks=ranks, jobs=jobs, chance=chance)
        who = f"{ranks} ranks" if ranks else f"-j {jobs}, or of one of its workers" if jobs else "one process"
        table.add(f"SIGKILL of `compare`, {who}, {here.mpi}", str(toll), toll.clean)
        table.kills += toll.kills
        shutil.rmtree(directory)


def stops(table: Table, here: Installation, config: Path, truth: Truth, place: Path, seed: int) -> None:
    """Time limits and signals."""
    for writer in here.writers:
        path = place / f"limit-{writer.slug}.h5"
        stopped, problems = time_limits(here, config, truth, path, stops=3, limit="2s", writer=writer)
        happened = "; ".join([f"{stopped} stops with exit code 75, continued, identical", *problems])
        table.add(f"--time-limit, {writer.name}, {here.mpi}", happened, not problems and stopped > 0)
    for writer in here.writers:
        directory = place / f"signals-{writer.slug}"
        directory.mkdir()
        chance = random.Random(f"{seed} {writer.name}")
        stopped, problems = signals(here, config, truth, directory, writer=writer, chance=chance)
        happened = "; ".join([f"{stopped} stops with exit code 75, continued, identical", *problems])
        who = "all ranks, rank 0, a worker" if writer.has_workers else "the process"
        table.add(f"SIGTERM, SIGUSR1, SIGHUP to {who}, {writer.name}, {here.mpi}", happened, not problems)
        shutil.rmtree(directory)
    for writer in here.writers:
        path = place / f"interrupted-{writer.slug}.h5"
        chance = random.Random(f"{seed} Ctrl-C {writer.name}")
        codes, problems = ctrl_c(here, config, truth, path, stops=4, writer=writer, chance=chance)
        happened = "; ".join([f"{_listed(codes)}, continued, identical", *problems])
        table.add(f"Ctrl-C, {writer.name}, {here.mpi}", happened, not problems)


def _listed(codes: Counter[int]) -> str:
    """How often commands ended with which exit code."""
    return f"{codes.total()} tries: " + ", ".join(f"{n} × exit code {code}" for code, n in sorted(codes.items()))


def disks(table: Table, here: Installation, config: Path, truth: Truth, place: Path) -> None:
    """Full disks, if a small one can be mounted."""
    whole = config.with_suffix(".reference.h5")
    compared = place / "compared.h5"
    assert here.run(0, "compare", whole, "-o", compared).returncode == 0
    cases: list[tuple[str, Callable[[Path], str]]] = []
    for leave in (MIB // 8, MIB):
        for writer in here.writers:
            cases.append((
                f"disk full with {leave // 1024} KiB left, {writer.name}, {here.mpi}",
                lambda disk, w=writer, v=leave: disk_full(here, config, truth, disk, writer=w, leave=v),  # type: ignore[misc]
            ))  # fmt: skip
    for writer in here.writers:
        cases.append((
            f"disk full before the start, {writer.name}",
            lambda disk, w=writer: full_before(  # type: ignore[misc]
                here, disk, "are free there", "run", config, "-o", disk / "sweep.h5", *w.options, ranks=w.ranks
            ),
        ))  # fmt: skip
    cases += [
        (
            "disk full before merging",
            lambda d: full_before(here, d, "are free there", "merge", "-o", d / "m.h5", whole),
        ),
        ("disk full while merging", lambda disk: full_while_merging(here, truth, whole, disk)),
        (
            "disk full before packing",
            lambda d: full_before(here, d, "are free there", "merge", "--pack", "-o", d / "p.h5", whole),
        ),
        ("disk full while packing", lambda disk: full_while_packing(here, truth, whole, disk)),
        ("disk full before comparing", lambda d: full_before(here, d, "space", "compare", whole, "-o", d / "c.h5")),
        ("disk full while comparing", lambda disk: full_while_comparing(here, whole, compared, disk)),
        *(
            (
                f"disk full while plotting, {leave // 1024} KiB left",
                lambda disk, v=leave: full_while_plotting(here, compared, disk, v),  # type: ignore[misc]
            )
            for leave in (0, MIB // 16, MIB // 4, MIB)
        ),
    ]
    for what, run in cases:
        try:
            with small_disk(place / "disk", 3 * whole.stat().st_size) as disk:
                problem = run(disk)
        except PermissionError as error:
            table.add("disk full", f"skipped: {error}", True)
            return
        good = (
            "not noticed, complete"
            if what.endswith("while comparing")
            else "one sentence, nothing lost, then identical"
        )
        table.add(what, problem or good, not problem)


def damaged(table: Table, here: Installation, place: Path) -> None:
    """Damaged and foreign files for every command."""
    config = write_config(place / "small.yml", trials=4)
    reference(here, config)
    good = config.with_suffix(".reference.h5")
    compared = here.run(0, "compare", good, "-o", place / "small-cmp.h5")
    assert compared.returncode == 0, compared.stderr
    files, tries, problems = damaged_files(here, good, config, place / "small-cmp.h5", place)
    happened = f"{files} files, {tries} tries, {len(problems)} other than one sentence and exit code 2"
    table.add("damaged and foreign files, every command", "; ".join([happened, *problems]), not problems)
    problem = broken_checksum(here, good, place)
    table.add("one bit of a packed trace flipped", problem or "noticed by check and compare", not problem)


def randomly_damaged(table: Table, here: Installation, place: Path, count: int, seed: int) -> None:
    """Random damage of sweeps, packed sweeps and comparisons."""
    config = write_config(place / "tiny.yml", trials=3, n=64)
    reference(here, config)
    good, packed, compared = config.with_suffix(".reference.h5"), place / "tiny-packed.h5", place / "tiny-cmp.h5"
    assert here.run(0, "merge", "--pack", good, "-o", packed).returncode == 0
    assert here.run(0, "compare", good, "-o", compared).returncode == 0

    def of_sweep(bad: Path, out: Path) -> dict[str, list[str]]:
        return commands_for_sweep(bad, good, config, compared, out)

    def of_comparison(bad: Path, out: Path) -> dict[str, list[str]]:
        return commands_for_comparison(bad, good, out)

    for what, whole, commands in (
        ("sweeps", good, of_sweep), ("packed sweeps", packed, of_sweep), ("comparisons", compared, of_comparison)
    ):  # fmt: skip
        directory = place / "random"
        directory.mkdir()
        found = random_damage(
            here, whole, commands, directory, files=count, chance=random.Random(f"{seed} damage {what}")
        )
        table.add(f"randomly damaged {what}, every command that reads them", str(found), found.clean)
        shutil.rmtree(directory)


def sizes(table: Table, here: Installation, place: Path, trials: int) -> None:
    """Very many tiny trials."""
    scales = [at_scale(here, place, n) for n in (trials // 100, trials // 10, trials)]
    for s in scales:
        table.add(
            f"{s.trials} tiny trials",
            f"{s.wall_s:.1f} s, {1e6 * s.rank0_cpu_s / s.trials:.0f} µs of rank 0's processor a trial, "
            f"open {1e3 * s.open_s:.1f} ms, "
            f"xarray {1e3 * s.xarray_s:.0f} ms, status {1e3 * s.status_s:.0f} ms, {s.megabytes:.0f} MB",
            True,
        )
    _growth(table, scales, ("rank0_cpu_s", "open_s", "status_s"))


def _growth(table: Table, sizes: Sequence[Scale], names: Sequence[str]) -> None:
    few, many = sizes[-2:]
    growth = {name: getattr(many, name) / getattr(few, name) for name in names}
    text = ", ".join(f"{name.removesuffix('_s')} × {factor:.1f}" for name, factor in growth.items())
    table.add("growth from the last but one, × 10 trials", text, all(factor < 13 for factor in growth.values()))


def calls(table: Table, here: Installation, place: Path, trials: int = 4) -> None:
    """System calls for trials of the paper's size."""
    for writer in here.writers:
        try:
            counted = calls_of(here, place, trials=trials, writer=writer)
        except FileNotFoundError as error:
            table.add("system calls", f"skipped: {error}", True)
            return
        parts = [
            f"{'rank ' + str(c.rank) if writer.ranks else 'the process'}: {c.large} writes of traces, "
            f"{c.small} smaller, {c.syncs} syncs, {c.bytes / 1e6:.3g} MB"
            for c in counted
        ]
        table.add(
            f"system calls, {trials} trials of the paper's size, {writer.name}, {here.mpi}", "; ".join(parts), True
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=4, help="of each victim of each writer of each MPI library")
    parser.add_argument("--tries", type=int, default=40, help="of each kind of random damage and of random limits")
    parser.add_argument("--trials", type=int, default=100_000, help="of the largest sweep of tiny trials")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument(
        "--also", type=Path, nargs="+", default=[], metavar="VENV",
        help="environments with another MPI, its mpiexec in their bin: kills, stops and full disks there, too",
    )  # fmt: skip
    parser.add_argument("--directory", type=Path, help="where to work (default: a temporary directory)")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=FAULTS)
    options = parser.parse_args()
    here, table = this_installation(), Table()
    installations = [here, *(Installation.of(venv) for venv in options.also)]
    print(f"seed {options.seed}; {', '.join(one.mpi for one in installations)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hpcmass-faults-", dir=options.directory) as name:
        place = Path(name)
        config = write_config(place / "faults.yml", trials=60)
        truth = reference(here, config)
        if "kills" in options.only:
            for one in installations:
                kills(table, one, config, truth, place, options.kills, options.seed)
        if "in-situ" in options.only:
            comparing(table, here, place, 2 * options.kills, options.seed)
        if "copies" in options.only:
            copies(table, here, config, truth, place, options.kills, options.seed)
        table.add("SIGKILLs in all", str(table.kills), True)
        if "stops" in options.only:
            longer = write_config(place / "longer.yml", trials=400)
            truth_of_longer = reference(here, longer)
            for number, one in enumerate(installations):
                (place / f"stops-{number}").mkdir()
                stops(table, one, longer, truth_of_longer, place / f"stops-{number}", options.seed)
        if "disks" in options.only:
            for one in installations:
                disks(table, one, config, truth, place)
        if "limits" in options.only:
            (place / "limits").mkdir()
            whole = config.with_suffix(".reference.h5")
            problems = size_limits(here, config, truth, whole, place / "limits")
            happened = "one sentence, nothing changed, identical without the limit"
            table.add(
                "file-size limit (ulimit -f): run, merge, pack, compare", "; ".join(problems) or happened, not problems
            )
            (place / "random-limits").mkdir()
            chance = random.Random(f"{options.seed} limits")
            codes, problems = random_limits(
                here, config, truth, whole, place / "random-limits", tries=options.tries, chance=chance
            )
            happened = "; ".join([f"{_listed(codes)}; nothing left behind, lost or wrong", *problems])
            table.add("random file-size limits from 50 kB on, every writing command", happened, not problems)
        if "array" in options.only:
            problems = job_array(here, config, truth, place)
            happened = "merge names them; then merged and packed copy are identical to one run"
            table.add(
                "array of 8 parts: 1 killed, 2 run again, 1 missing", "; ".join(problems) or happened, not problems
            )
        if "damage" in options.only:
            damaged(table, here, place)
        if "random" in options.only:
            randomly_damaged(table, here, place, options.tries, options.seed)
        if "sizes" in options.only:
            sizes(table, here, place, options.trials)
        if "calls" in options.only:
            calls(table, here, place)
    print(f"\n{table.markdown()}")
    return 0 if all(good for _, _, good in table.rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The fault campaign: hurt sweeps in every way that is promised to be harmless, and print a table of what happened.

    python tests/faults/campaign.py [--kills 54] [--trials 100000] [--seed 1] [--mpich VENV] [--directory DIR]

Exit code 1 if any promise was broken.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from damage import broken_checksum, damaged_files
from files import (
    MIB,
    disk_full,
    full_from_the_start,
    job_array,
    packing_into_a_full_disk,
    small_disk,
)
from harness import Installation, Truth, reference, this_installation, write_config
from kills import Toll, kill_campaign, signal_campaign, stop_campaign
from scale import Joined, Scale, at_scale, joined_at_scale

Row = tuple[str, str, bool]


class Table:
    """Rows as they come: what was done, what happened, whether that was promised."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._start = time.monotonic()

    def add(self, what: str, happened: str, good: bool) -> None:
        self.rows.append((what, happened, good))
        minutes = (time.monotonic() - self._start) / 60
        print(f"[{minutes:4.1f} min] {'ok  ' if good else 'BAD '} {what}: {happened}", flush=True)

    def markdown(self) -> str:
        lines = ["| fault | outcome | as promised |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {w} | {h} | {'yes' if g else '**no**'} |" for w, h, g in self.rows)])


def kills(table: Table, here: Installation, config: Path, truth: Truth, place: Path, count: int, seed: int) -> None:
    """Share the kills out over writers and victims."""
    cases = [(shards, victim) for shards in (False, True) for victim in ("worker", "master", "all")]
    if not here.parallel_hdf5:
        cases = [case for case in cases if case[0]]
    for number, (shards, victim) in enumerate(cases):
        directory = place / f"kill-{here.mpi[:2]}-{number}"
        directory.mkdir()
        share = count // len(cases) + (number < count % len(cases))
        chance = random.Random(100 * seed + number)
        toll = kill_campaign(here, config, truth, directory, kills=share, victim=victim, shards=shards, chance=chance)
        table.add(f"SIGKILL {victim}, {'shards' if shards else 'mpio'}, {here.mpi}", _told(toll), toll.clean)
        shutil.rmtree(directory)


def _told(toll: Toll) -> str:
    text = (f"{toll.kills} kills ({toll.running} while writing), {toll.unreadable} unreadable, {toll.lost} lost, "
            f"{toll.wrong} wrong, {toll.hung} hung; ")  # fmt: skip
    return text + f"{toll.sweeps - toll.different} of {toll.sweeps} sweeps identical"


def stops(table: Table, here: Installation, config: Path, truth: Truth, place: Path, seed: int) -> None:
    """Time limits and signals."""
    for ranks, options, how in ((0, [], "one process"), (3, [], "mpio"), (3, ["--shards"], "shards")):
        stopped, bad = stop_campaign(
            here, config, truth, place / f"stop-{how}.h5", stops=4, limit="1.5s", ranks=ranks, options=options
        )
        table.add(f"--time-limit, {how}", f"{stopped} stops with exit code 75, resumed, identical", not bad)
    stopped, bad = signal_campaign(here, config, truth, place / "signal.h5", stops=4, chance=random.Random(seed))
    table.add("SIGTERM, SIGUSR1 to all ranks, mpio", f"{stopped} stops with exit code 75, resumed, identical", not bad)


def disks(table: Table, here: Installation, config: Path, truth: Truth, place: Path) -> None:
    """Full disks, if a small one can be mounted."""
    whole = config.with_suffix(".reference.h5")
    # trials as small as these occupy their memory pages in every shard
    size = 3 * whole.stat().st_size
    cases: list[tuple[str, Callable[[Path], str]]] = []
    for leave in (MIB // 8, MIB):
        for ranks, options, how in ((0, [], "one process"), (3, [], "mpio"), (3, ["--shards"], "shards")):
            cases.append((
                f"disk full with {leave // 1024} KiB left, {how}",
                lambda disk, r=ranks, o=options, v=leave: disk_full(  # type: ignore[misc]
                    here, config, truth, disk, ranks=r, options=o, leave=v
                ),
            ))  # fmt: skip
    cases.append(("disk full before the start", lambda disk: full_from_the_start(here, config, disk)))
    cases.append(("disk full while packing", lambda disk: packing_into_a_full_disk(here, whole, disk)))
    for what, run in cases:
        try:
            with small_disk(place / "disk", size) as disk:
                problem = run(disk)
        except PermissionError as error:
            table.add("disk full", f"skipped: {error}", True)
            return
        table.add(what, problem or "one sentence, nothing lost, identical with room again", not problem)


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


def sizes(table: Table, here: Installation, place: Path, trials: int) -> None:
    """Very many tiny trials."""
    scales = [at_scale(here, place, n) for n in (trials // 100, trials // 10, trials)]
    for s in scales:
        table.add(
            f"{s.trials} tiny trials",
            f"{s.wall_s:.1f} s, master {1e6 * s.master_cpu_s / s.trials:.0f} µs of processor a trial, "
            f"open {1e3 * s.open_s:.1f} ms, "
            f"xarray {1e3 * s.xarray_s:.0f} ms, status {1e3 * s.status_s:.0f} ms, {s.megabytes:.0f} MB",
            True,
        )
    _growth(table, "growth from the last but one, × 10 trials", scales, ("master_cpu_s", "open_s", "status_s"))
    joints = [joined_at_scale(here, place, n) for n in (trials // 10, trials)]
    for j in joints:
        table.add(
            f"{j.trials} tiny trials dealt out to {j.shards} shards",
            f"joined in {j.join_s:.1f} s, open {1e3 * j.open_s:.0f} ms, status {1e3 * j.status_s:.0f} ms, "
            f"traces {1e3 * j.trace_s:.2f} ms a trial",
            True,
        )
    _growth(table, "growth of joined shards, × 10 trials", joints, ("join_s", "open_s", "status_s", "trace_s"))


def _growth(table: Table, what: str, sizes: Sequence[Scale] | Sequence[Joined], names: Sequence[str]) -> None:
    few, many = sizes[-2:]
    growth = {name: getattr(many, name) / getattr(few, name) for name in names}
    text = ", ".join(f"{name.removesuffix('_s')} × {factor:.1f}" for name, factor in growth.items())
    table.add(what, text, all(factor < 13 for factor in growth.values()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=54)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--mpich", type=Path, metavar="VENV", help="an environment with MPICH, mpiexec in its bin")
    parser.add_argument("--directory", type=Path, help="where to work (default: a temporary directory)")
    parser.add_argument("--only", nargs="+", default=["kills", "mpich", "stops", "disks", "damage", "array", "sizes"])
    options = parser.parse_args()
    here, table = this_installation(), Table()
    print(f"seed {options.seed}, {here.mpi}", flush=True)
    with tempfile.TemporaryDirectory(prefix="hpcmass-faults-", dir=options.directory) as name:
        place = Path(name)
        config = write_config(place / "faults.yml", trials=60)
        truth = reference(here, config)
        if "kills" in options.only:
            kills(table, here, config, truth, place, options.kills, options.seed)
        if "mpich" in options.only and options.mpich:
            kills(table, Installation.of(options.mpich), config, truth, place, options.kills // 3, options.seed)
        if "stops" in options.only:
            longer = write_config(place / "longer.yml", trials=400)
            stops(table, here, longer, reference(here, longer), place, options.seed)
        if "disks" in options.only:
            disks(table, here, config, truth, place)
        if "array" in options.only:
            problems = job_array(here, config, truth, place)
            happened = "merge names them; then view and packed copy are identical to one run"
            table.add(
                "array of 8 parts: 1 killed, 2 run again, 1 missing", "; ".join(problems) or happened, not problems
            )
        if "damage" in options.only:
            damaged(table, here, place)
        if "sizes" in options.only:
            sizes(table, here, place, options.trials)
    print(f"\n{table.markdown()}")
    return 0 if all(good for _, _, good in table.rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Fixtures: the small experiment, files with invented values, and files that the commands have made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `store_examples`: pytest's importlib mode puts no folder there

from store_examples import CONFIG, SIMULATED, Command, Outcome, Write, ended

from hpcmass.config import Experiment
from hpcmass.config.file import parse_experiment
from hpcmass.costs import Part, assign
from hpcmass.grid import Trial, trials
from hpcmass.store.provenance import provenance
from hpcmass.store.writer import SweepWriter, create_sweep_file


@pytest.fixture
def experiment() -> Experiment:
    return parse_experiment(CONFIG)


@pytest.fixture
def all_trials(experiment: Experiment) -> list[Trial]:
    return trials(experiment)


@pytest.fixture
def write_sweep(experiment: Experiment) -> Write:
    """Give `write_sweep(path, done, failed)`; a part's file is to hold the trials that are the part's."""

    def write(
        path: Path,
        done: list[Trial] | None = None,
        failed: tuple[Trial, ...] = (),
        *,
        rank: int = 1,
        other: Experiment | None = None,
        part: Part | None = None,
        uuid: str = "0f",
    ) -> Path:
        one = other or experiment
        create_sweep_file(
            path,
            one,
            driver="serial",
            provenance={"uuid": uuid, **provenance(n_ranks=1, mpi_library="none")},
            assignment=assign(one, part) if part else None,
        )
        with SweepWriter(path) as writer:
            writer.store(ended(done or [], failed, rank=rank))
        return path

    return write


@pytest.fixture
def parts(tmp_path: Path, experiment: Experiment, all_trials: list[Trial], write_sweep: Write) -> list[Path]:
    """Three parts, each with all of its trials done."""
    paths = []
    for number in (1, 2, 3):
        own = assign(experiment, Part(number, 3))
        path = tmp_path / f"part-{number}.h5"
        write_sweep(path, all_trials[own.start : own.stop], part=own.part, uuid=f"uuid-{number}", rank=number)
        paths.append(path)
    return paths


# ---------------------------------------------------------------------------------------- real commands


@pytest.fixture(scope="session")
def command(mpi_env: dict[str, str]) -> Iterator[Command]:
    """Give `command("merge", …, cwd=…, limit=…)`; `limit` is that of `ulimit -f`, in bytes."""
    script = Path(__file__).with_name("forked.py")
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=mpi_env
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(
            *arguments: object, cwd: Path, limit: int | None = None, patches: Mapping[str, object] | None = None
        ) -> Outcome:
            assert server.stdin is not None
            assert server.stdout is not None
            asked = {"arguments": [str(a) for a in arguments], "directory": str(cwd)}
            server.stdin.write(json.dumps({**asked, "limit": limit, "patches": dict(patches or {})}) + "\n")
            server.stdin.flush()
            return Outcome(**json.loads(server.stdout.readline()))

        yield run
        server.stdin.close()


@pytest.fixture(scope="session")
def made(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the commands make; tests that change something copy it before.

    `config.yml`, `sweep.h5`, `part-1.h5`, `part-2.h5`, `merged.h5`, `packed.h5`, `trial.h5`, `silent.h5` (a trial with
    space for no spike), `comparison.h5`.
    """
    here = tmp_path_factory.mktemp("made")
    (here / "config.yml").write_text(SIMULATED)
    for arguments in (
        "run config.yml -o sweep.h5",
        "run config.yml -o part-1.h5 --part 1/2",
        "run config.yml -o part-2.h5 --part 2/2",
        "merge -o merged.h5 part-1.h5 part-2.h5",
        "merge -o packed.h5 --pack part-1.h5 part-2.h5",
        "trial config.yml --p 1 --lam 1 -o trial.h5 --spikes",
        "trial config.yml --p 0 --lam 0 -o silent.h5 --spikes",
        "compare sweep.h5 -o comparison.h5",
    ):
        outcome = command(*arguments.split(), cwd=here)
        assert outcome.code == 0, (arguments, outcome)
    return here

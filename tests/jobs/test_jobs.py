"""The templates of jobs/: all are linted; those of PBS and LSF run with fake batch systems.

How they continue: test_continuing.py. Those of Slurm: test_slurm_commands.py and, under a real Slurm, tests/slurm.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import yaml

from hpcmass.store.schema import DONE
from hpcmass.sweep.run import run_sweep
from sweep_contents import fingerprint

ROOT = Path(__file__).resolve().parents[2]
JOBS = ROOT / "jobs"
SHELL = sorted(path for kind in ("*.sh", "*.sbatch", "*.pbs", "*.lsf") for path in JOBS.rglob(kind))

NETWORK = "{n_neurons: 200, n_external: 150, duration_ms: 400.0, transient_ms: 100.0, w_ext: 0.3, w_E: 0.02, w_I: 0.1}"

Submit = Callable[..., str]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yml"
    path.write_text(
        f"title: in a job\nroot_seed: 11\ntrials: 2\ngrid: {{p: [0.1, 0.9], lam: [0.7, 0.8]}}\nnetwork: {NETWORK}\n"
    )
    return path


@pytest.fixture(scope="module")
def expected(config: Path, shared: Callable[[str, Callable[[Path], object]], Path]) -> dict[str, str]:
    path = shared("jobs", lambda folder: run_sweep(config, folder / "sweep.h5"))
    return fingerprint(path / "sweep.h5")


# ---------------------------------------------------------------------------------------- all templates


@pytest.mark.process
def test_shellcheck() -> None:
    assert len(SHELL) >= 12
    checker = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([checker, "-x", *SHELL], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [path for path in SHELL if path.suffix in (".sbatch", ".pbs", ".lsf")], ids=str)
def test_template_reads_the_site_settings_from_one_place(path: Path) -> None:
    text = path.read_text()
    assert ". jobs/environment.sh\n" in text
    assert "configs/paper.yml" in text
    assert (ROOT / "configs" / "paper.yml").is_file()


def test_readme_names_every_template_and_no_other() -> None:
    readme = (JOBS / "README.md").read_text()
    named = set(re.findall(r"(?:slurm|pbs|lsf)/[\w.]+", readme))
    there = {str(path.relative_to(JOBS)) for path in SHELL if path.parent.name in ("slurm", "pbs", "lsf")}
    assert named == there


def test_environment_pins_threads_and_keeps_kernels_on_the_node(submit: Submit) -> None:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    names = " ".join(f"${name}" for name in threads)
    script = f'OMP_NUM_THREADS=8; . jobs/environment.sh; echo {names} "$HPCMASS" $(command -v hpcmass)'
    assert submit("bash", "-c", script).split() == ["1"] * 4 + ["hpcmass", f"{sys.prefix}/bin/hpcmass"]


@pytest.mark.parametrize(
    ("recipe", "variable", "what"),
    [("modules", "VENV", "virtual environment"), ("apptainer", "HPCMASS_IMAGE", "image")],
)
def test_recipe_without_its_environment_ends_the_job_with_a_sentence(
    submit: Submit, recipe: str, variable: str, what: str
) -> None:
    script = ". jobs/environment.sh; echo continued"
    printed = submit("bash", "-c", script, check=False, HPCMASS_ENVIRONMENT=recipe, **{variable: "/nowhere"})
    assert f"there is no {what} /nowhere" in printed
    assert "continued" not in printed


def test_spack_environment_has_what_setup_looks_for() -> None:
    environment = yaml.safe_load((JOBS / "environments" / "spack.yaml").read_text())["spack"]
    assert [re.match(r"\w+", spec)[0] for spec in environment["specs"]] == ["python", "openmpi", "hdf5"]  # type: ignore[index]
    assert "+mpi" in environment["specs"][2]


def test_container_copies_files_that_exist() -> None:
    text = (JOBS / "environments" / "hpcmass.def").read_text()
    section = text.split("%files\n")[1].split("\n\n")[0]
    sources = [line.split()[0] for line in section.splitlines()]
    assert sources
    assert all((ROOT / source).exists() for source in sources)


# ------------------------------------------------------------------------- PBS and LSF, by fakes


@pytest.mark.mpi
def test_pbs_mpi(submit: Submit, config: Path, expected: dict[str, str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    variables = f"CONFIG={config},SWEEP={sweep},TIME_LIMIT=00:50:00,VENV={sys.prefix}"
    resources = "select=1:ncpus=3:mpiprocs=3:ompthreads=1"
    printed = submit("qsub", "-l", resources, "-v", variables, "jobs/pbs/mpi.pbs")
    assert "fake qsub, not the real one" in printed
    log = next(tmp_path.glob("hpcmass.o*")).read_text()
    assert "by 2 workers" in log
    assert fingerprint(sweep) == expected


@pytest.mark.slow
def test_pbs_array(submit: Submit, config: Path, expected: dict[str, str], tmp_path: Path) -> None:
    variables = f"CONFIG={config},PARTS=3,PARTS_DIR={tmp_path / 'parts'},VENV={sys.prefix}"
    submit("qsub", "-J", "1-3", "-v", variables, "jobs/pbs/array.pbs")
    assert merged(submit, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.mpi
def test_lsf_mpi(submit: Submit, config: Path, expected: dict[str, str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.h5"
    log = tmp_path / "log"
    printed = submit("bsub", "-n", 3, "-o", log, stdin=JOBS / "lsf" / "mpi.lsf", CONFIG=config, SWEEP=sweep)
    assert "fake bsub, not the real one" in printed
    assert "by 2 workers" in log.read_text()
    assert fingerprint(sweep) == expected


def test_lsf_array(submit: Submit, config: Path, expected: dict[str, str], tmp_path: Path) -> None:
    variables = {"CONFIG": config, "PARTS": 3, "PARTS_DIR": tmp_path / "parts"}
    arguments = ("bsub", "-J", "hpcmass-part[1-3]", "-o", tmp_path / "log-%I")
    submit(*arguments, stdin=JOBS / "lsf" / "array.lsf", **variables)
    assert merged(submit, tmp_path) == expected


def merged(submit: Submit, directory: Path) -> dict[str, str]:
    """The command that the heads of the array templates name."""
    parts = sorted((directory / "parts").glob("part-*-of-3.h5"))
    done = 0
    for part in parts:
        with h5py.File(part, "r", locking=False) as file:
            done += int((file["status"][()] == DONE).sum())
    assert done == 8, "every trial belongs to one part"
    submit(Path(sys.prefix) / "bin" / "hpcmass", "merge", "-o", directory / "all.h5", *parts)
    return fingerprint(directory / "all.h5")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (("qsub", "-l", "nodes=2:ppn=4"), ("jobs/pbs/mpi.pbs",)),
        (("qsub", "-t", "1-3"), ("jobs/pbs/array.pbs",)),
        (("bsub", "-W", "01:00:00"), ()),
        # more ranks than a small machine takes: the templates' own
        (("qsub", "-v", "LAUNCH=true"), ("jobs/pbs/mpi.pbs",)),
        (("bsub",), ()),
    ],
)
def test_fakes_refuse_what_the_manuals_do_not_know_and_big_jobs(
    submit: Submit, tmp_path: Path, command: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    printed = submit(*command, *arguments, check=False, stdin=JOBS / "lsf" / "mpi.lsf", LAUNCH="true")
    assert "fake " in printed
    assert "is submitted" not in printed
    assert not list(tmp_path.glob("*.o*"))

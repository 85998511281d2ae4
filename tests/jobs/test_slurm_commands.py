"""What the templates of Slurm start, word for word, run by bash with programs that only say how they were called.

Under a real Slurm they run in tests/slurm; this is quick, and needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[2] / "jobs"

Submit = Callable[..., str]

SLURM_COMMANDS = {
    "mpi": "srun hpcmass run c.yml -o {here}/s.h5 --time-limit 07:50:00",
    "requeue": "srun hpcmass run c.yml -o {here}/s.h5",
    "array": "hpcmass run c.yml -o {here}/part-2-of-3.h5 --part 2/3",
    "merge": "hpcmass merge -o {here}/s.h5 --pack {here}/part-1-of-3.h5 {here}/part-3-of-3.h5",
    "compare": "hpcmass status {here}/s.h5\nhpcmass compare {here}/s.h5 -o {here}/s-cmp.h5 -j 5\n"
    "hpcmass plot {here}/s-cmp.h5 -o {here}/s-maps --sweep {here}/s.h5 --force",
}


@pytest.mark.parametrize("template", SLURM_COMMANDS)
@pytest.mark.parametrize("launch", ["srun", "mpirun", "mpiexec -n 3"])
def test_slurm_template_starts(submit: Submit, tmp_path: Path, template: str, launch: str) -> None:
    """The command in full, one thread a rank, and a failure as the job's own."""
    said = tmp_path / "said"
    script = f'echo "$(basename $0) $@" >>"{said}"; echo "$OMP_NUM_THREADS thread, 0 pending, 0 failed"'
    for name in ("srun", "mpirun", "mpiexec", "hpcmass"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\nexit ${{CODE:-0}}\n")
        program.chmod(0o755)
    for number in (1, 3):
        (tmp_path / f"part-{number}-of-3.h5").touch()
    (tmp_path / "part-1-of-4.h5").touch()
    variables = {"CONFIG": "c.yml", "SWEEP": tmp_path / "s.h5", "PARTS": 3, "PARTS_DIR": tmp_path, "PACK": "yes"}
    variables |= {"SLURM_ARRAY_TASK_ID": 2, "SLURM_CPUS_PER_TASK": 5, "SLURM_JOB_ID": 42, "OMP_NUM_THREADS": 8}
    variables |= {"HPCMASS": tmp_path / "bin" / "hpcmass"} | ({} if launch == "srun" else {"LAUNCH": launch})
    output = submit("bash", JOBS / "slurm" / f"{template}.sbatch", **variables)
    expected = (
        SLURM_COMMANDS[template].format(here=tmp_path).replace("srun hpcmass", f"{launch} {tmp_path}/bin/hpcmass")
    )
    assert said.read_text() == expected + "\n"
    assert "1 thread" in output
    said.unlink()
    with pytest.raises(AssertionError):
        submit("bash", JOBS / "slurm" / f"{template}.sbatch", CODE=3, **variables)
    assert said.read_text() == expected.splitlines()[0] + "\n"


def test_incomplete_sweep_is_not_compared(submit: Submit, tmp_path: Path) -> None:
    program = tmp_path / "hpcmass"
    program.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/said"\necho 7 done, 10 pending, 0 failed\n')
    program.chmod(0o755)
    variables = {"SWEEP": tmp_path / "s.h5", "HPCMASS": program}
    said = submit("bash", JOBS / "slurm" / "compare.sbatch", check=False, **variables)
    assert "is not complete" in said
    assert (tmp_path / "said").read_text() == f"status {tmp_path}/s.h5\n"


def test_a_part_for_each_process_of_a_step(submit: Submit, tmp_path: Path) -> None:
    """The line of jobs/README.md, with an srun that starts one process after the other."""
    (line,) = (line for line in (JOBS / "README.md").read_text().splitlines() if line.startswith("srun --mpi=none"))
    starts = {
        "srun": '[ "$1 $2 $3" = "--mpi=none -n 8" ] || exit 1\nshift 3\n'
        'for i in 0 1 2 3 4 5 6 7; do SLURM_PROCID=$i "$@"; done',
        "hpcmass": 'echo "$@"',
    }
    for name, start in starts.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{start}\n")
        program.chmod(0o755)
    said = submit("bash", "-c", line).splitlines()
    assert said == [f"run CONFIG -o part-{part}.h5 --part {part}/8" for part in range(1, 9)]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        # A joined file that is behind its parts: complete by its own count, and refused.
        ("compare", 2, ["status", "compare"]),
        ("plot", 2, ["status", "compare", "plot"]),
        ("status", 2, ["status"]),
    ],
)
def test_a_command_that_fails_ends_the_comparison_with_its_code(
    submit: Submit, tmp_path: Path, command: str, code: int, said: list[str]
) -> None:
    program = tmp_path / "hpcmass"
    program.write_text(
        f'#!/bin/sh\necho "$1" >>"{tmp_path}/said"\necho 7 done, 0 pending, 0 failed\n'
        f'if [ "$1" = {command} ]; then exit {code}; fi\n'
    )
    program.chmod(0o755)
    script = 'bash jobs/slurm/compare.sbatch; echo "ended with $?"'
    output = submit("bash", "-c", script, SWEEP=tmp_path / "s.h5", HPCMASS=program)
    assert f"ended with {code}\n" in output
    assert (tmp_path / "said").read_text().split() == said


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("mpi", ["--ntasks=3 jobs/slurm/mpi.sbatch", "--dependency=afterany:1 jobs/slurm/compare.sbatch"]),
        ("requeue", ["--ntasks=3 jobs/slurm/requeue.sbatch", "--dependency=afterany:1 jobs/slurm/compare.sbatch"]),
        (
            "array",
            [
                "--array=1-5 --ntasks=3 jobs/slurm/array.sbatch",
                "--dependency=afterany:1 jobs/slurm/merge.sbatch",
                "--dependency=afterany:2 jobs/slurm/compare.sbatch",
            ],
        ),
    ],
)
def test_chain_waits_for_the_one_before(submit: Submit, tmp_path: Path, kind: str, expected: list[str]) -> None:
    """Of a cluster in a federation, too, whose sbatch prints the cluster's name after the number."""
    said = tmp_path / "said"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(f'#!/bin/sh\necho "$CONFIG $@" >>"{said}"\necho "$(wc -l <"{said}");cluster"\n')
    sbatch.chmod(0o755)
    submit("jobs/slurm/chain.sh", kind, "c.yml", "--ntasks=3", PARTS=5)
    assert said.read_text().splitlines() == [f"c.yml --parsable {line}" for line in expected]

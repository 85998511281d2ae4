"""The commands of the Slurm templates, run by bash with programs that only record their arguments.

Under a real Slurm they run in tests/slurm; this is quick and needs no Slurm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

JOBS = Path(__file__).resolve().parents[2] / "jobs"

Submit = Callable[..., str]

PARTS = "{here}/part-1-of-3.h5 {here}/part-3-of-3.h5"

SLURM_COMMANDS = {
    "mpi": "srun --cpu-bind=cores hpcmass run c.yml -o {here}/s.h5 --time-limit 07:50:00 --retry-failed --gather",
    "requeue": "srun --cpu-bind=cores hpcmass run c.yml -o {here}/s.h5 --retry-failed --gather",
    "array": "hpcmass run c.yml -o {here}/part-2-of-3.h5 --part 2/3 --retry-failed --gather",
    "merge": f"hpcmass merge -o {{here}}/s.h5 --pack {PARTS}",
    "compare": f"hpcmass status {PARTS}\nhpcmass compare {PARTS} -o {{here}}/s-cmp.h5 -j 5\n"
    f"hpcmass plot {{here}}/s-cmp.h5 -o {{here}}/s-maps --sweep {PARTS} --force",
}


@pytest.mark.parametrize("template", SLURM_COMMANDS)
@pytest.mark.parametrize("launch", ["", "mpirun", "mpiexec -n 3"])
def test_slurm_template_starts(submit: Submit, tmp_path: Path, template: str, launch: str) -> None:
    """The command in full, one thread a rank, and a failure as the job's own."""
    calls = tmp_path / "calls"
    script = f'echo "$(basename $0) $@" >>"{calls}"; echo "$OMP_NUM_THREADS thread, 0 pending, 0 failed"'
    for name in ("srun", "mpirun", "mpiexec", "hpcmass"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\nexit ${{CODE:-0}}\n")
        program.chmod(0o755)
    for number in (1, 3):
        (tmp_path / f"part-{number}-of-3.h5").touch()
    (tmp_path / "part-1-of-4.h5").touch()
    variables = {"CONFIG": "c.yml", "SWEEP": tmp_path / "s.h5", "PARTS": 3, "PARTS_DIR": tmp_path, "PACK": "yes"}
    variables |= {"RUN_ARGS": "--retry-failed --gather"}
    variables |= {"SLURM_ARRAY_TASK_ID": 2, "SLURM_CPUS_PER_TASK": 5, "SLURM_JOB_ID": 42, "OMP_NUM_THREADS": 8}
    variables |= {"HPCMASS": tmp_path / "bin" / "hpcmass"} | ({"LAUNCH": launch} if launch else {})
    output = submit("bash", JOBS / "slurm" / f"{template}.sbatch", **variables)
    expected = (
        SLURM_COMMANDS[template]
        .format(here=tmp_path)
        .replace("srun --cpu-bind=cores hpcmass", f"{launch or 'srun --cpu-bind=cores'} {tmp_path}/bin/hpcmass")
    )
    assert calls.read_text() == expected + "\n"
    assert "1 thread" in output
    calls.unlink()
    with pytest.raises(AssertionError):
        submit("bash", JOBS / "slurm" / f"{template}.sbatch", CODE=3, **variables)
    assert calls.read_text() == expected.splitlines()[0] + "\n"


def test_a_sweep_in_one_file_is_compared_where_no_parts_are_asked_for(submit: Submit, tmp_path: Path) -> None:
    program = tmp_path / "hpcmass"
    program.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/calls"\necho 7 done, 0 failed, 0 pending\n')
    program.chmod(0o755)
    (tmp_path / "part-1-of-3.h5").touch()
    variables = {"SWEEP": tmp_path / "s.h5", "PARTS_DIR": tmp_path, "HPCMASS": program}
    submit("bash", JOBS / "slurm" / "compare.sbatch", **variables)
    assert [line.split()[:2] for line in (tmp_path / "calls").read_text().splitlines()] == [
        ["status", f"{tmp_path}/s.h5"], ["compare", f"{tmp_path}/s.h5"], ["plot", f"{tmp_path}/s-cmp.h5"],
    ]  # fmt: skip


INCOMPLETE = {
    "one file": "s.h5: small\n12 of 22 trials done, 0 failed, 10 pending\n",
    "a part": "p1: 4 of 4 trials done, 0 failed, 0 pending\np2: 3 of 4 trials done, 0 failed, 1 pending\n"
    "7 of 8 trials done, 0 failed, 1 pending\n",
    "a part is missing": "p1: 4 of 4 trials done, 0 failed, 0 pending\n4 of 4 trials done, 0 failed, 0 pending\n"
    "no file of part 2 of 2\n",
    "an answer that is none": "hello\n",
}


@pytest.mark.parametrize("what", INCOMPLETE)
def test_incomplete_sweep_is_not_compared(submit: Submit, tmp_path: Path, what: str) -> None:
    program = tmp_path / "hpcmass"
    (tmp_path / "answer").write_text(INCOMPLETE[what])
    program.write_text(f'#!/bin/sh\necho "$1" >>"{tmp_path}/calls"\ncat "{tmp_path}/answer"\n')
    program.chmod(0o755)
    variables = {"SWEEP": tmp_path / "s.h5", "HPCMASS": program}
    script = 'bash jobs/slurm/compare.sbatch; echo "ended with $?"'
    output = submit("bash", "-c", script, **variables)
    assert "is not complete" in output
    assert "ended with 75\n" in output
    assert (tmp_path / "calls").read_text() == "status\n"


@pytest.mark.slow
def test_the_template_recognises_missing_and_unfinished_parts_in_status(submit: Submit, tmp_path: Path) -> None:
    """With the program itself: parts 1 and 2 of 3, complete, and then the second not."""
    config = tmp_path / "c.yml"
    config.write_text(
        "title: two parts\ntrials: 1\ngrid: {p: [0.1, 0.5, 0.9], lam: [0.8]}\n"
        "network: {n_neurons: 50, n_external: 20, duration_ms: 50.0, transient_ms: 10.0}\n"
    )
    hpcmass = Path(sys.prefix) / "bin" / "hpcmass"
    for part in (1, 2):
        submit(hpcmass, "run", config, "-o", tmp_path / f"part-{part}-of-3.h5", "--part", f"{part}/3")
    script = 'bash jobs/slurm/compare.sbatch; echo "ended with $?"'
    variables = {"PARTS": 3, "PARTS_DIR": tmp_path, "SWEEP": tmp_path / "s.h5", "MAPS": tmp_path / "maps"}
    output = submit("bash", "-c", script, **variables)
    assert "no file of part 3 of 3" in output
    assert "ended with 75\n" in output
    late = ("--part", "3/3", "--time-limit", "0.000001s")
    assert "1 trial is left" in submit(hpcmass, "run", config, "-o", tmp_path / "part-3-of-3.h5", *late, check=False)
    output = submit("bash", "-c", script, **variables)
    assert "0 failed, 1 pending" in output
    assert "ended with 75\n" in output
    assert not (tmp_path / "s-cmp.h5").exists()


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
    output = submit("bash", "-c", line).splitlines()
    assert output == [f"run CONFIG -o part-{part}.h5 --part {part}/8" for part in range(1, 9)]


@pytest.mark.parametrize(
    ("command", "code", "calls"),
    [
        ("compare", 2, ["status", "compare"]),
        ("plot", 2, ["status", "compare", "plot"]),
        ("status", 2, ["status"]),
    ],
)
def test_a_command_that_fails_ends_the_comparison_with_its_code(
    submit: Submit, tmp_path: Path, command: str, code: int, calls: list[str]
) -> None:
    program = tmp_path / "hpcmass"
    program.write_text(
        f'#!/bin/sh\necho "$1" >>"{tmp_path}/calls"\necho 7 done, 0 pending, 0 failed\n'
        f'if [ "$1" = {command} ]; then exit {code}; fi\n'
    )
    program.chmod(0o755)
    script = 'bash jobs/slurm/compare.sbatch; echo "ended with $?"'
    output = submit("bash", "-c", script, SWEEP=tmp_path / "s.h5", HPCMASS=program)
    assert f"ended with {code}\n" in output
    assert (tmp_path / "calls").read_text().split() == calls


@pytest.mark.parametrize(
    ("kind", "merge", "expected"),
    [
        ("mpi", "yes", ["--ntasks=3 jobs/slurm/mpi.sbatch", "--dependency=afterany:1 jobs/slurm/compare.sbatch"]),
        (
            "requeue",
            "no",
            ["--ntasks=3 jobs/slurm/requeue.sbatch", "--dependency=afterany:1 jobs/slurm/compare.sbatch"],
        ),
        (
            "array",
            "no",
            ["--array=1-5 --ntasks=3 jobs/slurm/array.sbatch", "--dependency=afterany:1 jobs/slurm/compare.sbatch"],
        ),
        (
            "array",
            "yes",
            [
                "--array=1-5 --ntasks=3 jobs/slurm/array.sbatch",
                "--dependency=afterany:1 jobs/slurm/merge.sbatch",
                "--dependency=afterany:1 jobs/slurm/compare.sbatch",
            ],
        ),
    ],
)
def test_what_follows_a_sweep_waits_for_it(
    submit: Submit, tmp_path: Path, kind: str, merge: str, expected: list[str]
) -> None:
    """Also on a cluster in a federation, whose sbatch prints the cluster's name after the number."""
    calls = tmp_path / "calls"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text(
        f'#!/bin/sh\necho "$CONFIG ${{PARTS:-none}} $@" >>"{calls}"\necho "$(wc -l <"{calls}");cluster"\n'
    )
    sbatch.chmod(0o755)
    printed = submit("jobs/slurm/chain.sh", kind, "c.yml", "--ntasks=3", PARTS=5, MERGE=merge)
    parts = 5 if kind == "array" else "none"  # else the comparison would search for parts
    options = [line.split(f"c.yml {parts} --parsable ")[1] for line in calls.read_text().splitlines()]
    assert options == expected
    names = ["sweep", *(["merge"] if len(expected) == 3 else []), "compare"]
    assert [line.split() for line in printed.splitlines()] == [[name, f"{i}"] for i, name in enumerate(names, start=1)]

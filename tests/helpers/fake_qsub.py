"""Fake qsub of PBS Pro. It says that it is a fake: see fake_batch_system.py."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from fake_batch_system import Options, directives, indices, parse, refuse, require_few, run

CHUNK = r"\d+(:(ncpus|mpiprocs|ompthreads)=\d+|:mem=\d+[kmg]b)*"
PLACE = r"(free|pack|scatter|vscatter)(:(excl|shared|exclhost))?"
SITE = r"(storage|filesystems|jobfs)=[\w/+:.-]+"
"""Resources of some sites' own."""
OLD = ("ncpus", "mem")
"""Resources of which the server makes one chunk, where there is no select."""
RESOURCE = rf"(select={CHUNK}(\+{CHUNK})*|place={PLACE}|walltime=\d+:\d\d:\d\d|ncpus=\d+|mem=\d+[kmg]b|{SITE})"
VALUE = r"""('[^']*'|"[^"]*"|[^,'"]*)"""
KNOWN = {
    "-N": r"[A-Za-z][\w.-]{0,235}",
    "-j": r"oe|eo|n",
    "-l": rf"{RESOURCE}(,{RESOURCE})*",
    "-J": r"\d+-\d+(:\d+)?(%\d+)?",
    "-r": r"y|n",
    "-v": rf"\w+(={VALUE})?(,\w+(={VALUE})?)*",
    "-A": r"\S+",
    "-q": r"\S+",
    # A project, and not the value for none.
    "-P": r"(?!_pbs_project_default)\S+",
    "-W": r"group_list=\S+",
}


def n_ranks(select: str) -> int:
    """The lines of PBS_NODEFILE: one for each chunk and mpiprocs, of which a chunk has one by default."""
    count = 0
    for chunk in select.split("+"):
        number, *pairs = chunk.split(":")
        count += int(number) * int(dict(pair.split("=") for pair in pairs).get("mpiprocs", 1))
    return count


def variables(text: str) -> dict[str, str]:
    """What -v asks for: a value with commas is in quotes, and one that is not given comes from the environment."""
    found = {}
    for match in re.finditer(rf"(?:^|,)(\w+)(?:=(?P<value>{VALUE}))?", text):
        value = match["value"]
        found[match[1]] = os.environ[match[1]] if value is None else re.sub(r"""^(['"])(.*)\1$""", r"\2", value)
    return found


def given_in_all(resources: dict[str, str]) -> dict[str, str]:
    """Resources added by the server and a site's hook; they must not be passed to qsub again."""
    chunks = [chunk.split(":") for chunk in resources["select"].split("+")]
    sums = {"nodect": sum(int(number) for number, *_ in chunks)}
    for number, *pairs in chunks:
        for name, value in (pair.split("=") for pair in pairs):
            sums[name] = sums.get(name, 0) + int(number) * int(value.rstrip("kmgb"))
    return resources | {name: f"{value}" for name, value in sums.items()} | {"burn_ratio": "0.5"}


def remember(job: str, resources: dict[str, str], options: Options) -> None:
    """Write what a real qstat would show of the job, with folded lines, for the fake one."""
    lines = [f"Job Id: {job}", f"    Job_Name = {options['-N'][-1]}"]
    lines += [f"    Resource_List.{name} = {value}" for name, value in given_in_all(resources).items()]
    lines += [f"    Account_Name = {account}" for account in options.get("-A", [])[-1:]]
    lines += [f"    {word.replace('=', ' = ')}" for word in options.get("-W", [])[-1:]]
    lines += [f"    Submit_arguments = {' '.join(sys.argv[1:])}"]
    lines += [f"    project = {options.get('-P', ['_pbs_project_default'])[-1]}"]
    text = "".join(re.sub(r"(?<=.)(.{70})(?=.)", r"\1\n\t", line) + "\n" for line in lines)
    (Path(os.environ["FAKE_BATCH_LOGS"]) / f"{job}.qstat").write_text(text)


def main() -> None:
    given, rest = parse("qsub", sys.argv[1:], KNOWN)
    if len(rest) != 1:
        refuse("qsub", "which script?")
    script = Path(rest[0]).read_text()
    options = directives("qsub", "#PBS ", script, KNOWN)
    words = ",".join((*options.get("-l", []), *given.get("-l", []))).split(",")
    resources = dict(word.split("=", 1) for word in words)
    options |= given
    old = "".join(f":{name}={resources[name]}" for name in OLD if name in resources)
    if old and "select" in resources:
        refuse("qsub", f"-l {old} and -l select")
    if old:
        resources["select"] = f"1{old}"
    if not {"select", "walltime"} <= resources.keys():
        refuse("qsub", "no -l select or no -l walltime")
    ranks = n_ranks(resources["select"])
    require_few("qsub", ranks)

    # A job starts at home, with little of its submitter's environment.
    environment = {
        name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TMPDIR", "FAKE_BATCH_LOGS") if name in os.environ
    }
    # What the login shell of a site that runs MPI as root would set.
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("OMPI_", "PRTE_"))}
    environment |= variables(",".join(options.get("-v", [])))
    number = f"{os.getpid()}"
    environment |= {"PBS_O_WORKDIR": os.getcwd(), "PBS_ENVIRONMENT": "PBS_BATCH", "OMP_NUM_THREADS": "4"}
    if "-q" in options:
        environment["PBS_O_QUEUE"] = options["-q"][-1]
    nodes = ["localhost\n"] * ranks
    array = options.get("-J")
    with tempfile.NamedTemporaryFile("w", suffix=".nodes") as nodefile, tempfile.TemporaryDirectory() as home:
        nodefile.writelines(nodes)
        nodefile.flush()
        environment["PBS_NODEFILE"] = nodefile.name
        for index in indices(re.sub(r"[:%].*", "", array[-1])) if array else [None]:
            here = environment | {"PBS_JOBID": f"{number}.fake" if index is None else f"{number}[{index}].fake"}
            remember(here["PBS_JOBID"], resources, options)
            if index is not None:
                here["PBS_ARRAY_INDEX"] = str(index)
            suffix = f".o{number}" + ("" if index is None else f".{index}")
            log = Path(os.environ["FAKE_BATCH_LOGS"]) / (options["-N"][-1] + suffix)
            run("qsub", script, log, here, Path(home))
    print(f"{number}{'[]' if array else ''}.fake")


if __name__ == "__main__":
    main()

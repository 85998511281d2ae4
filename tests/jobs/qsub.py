"""Stand-in for qsub of PBS Pro. It is honest about that: see standin.py."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from standin import directives, indices, parse, refuse, run

CHUNK = r"\d+(:(ncpus|mpiprocs|ompthreads)=\d+|:mem=\d+[kmg]b)*"
PLACE = r"(free|pack|scatter|vscatter)(:(excl|shared|exclhost))?"
KNOWN = {
    "-N": r"[A-Za-z][\w.-]{0,235}",
    "-j": r"oe|eo|n",
    "-l": rf"select={CHUNK}(\+{CHUNK})*|place={PLACE}|walltime=\d+:\d\d:\d\d",
    "-J": r"\d+-\d+(:\d+)?(%\d+)?",
    "-r": r"y|n",
    "-v": r"\w+(=[^,]*)?(,\w+(=[^,]*)?)*",
    "-A": r"\S+",
    "-q": r"\S+",
}


def main() -> None:
    given, rest = parse("qsub", sys.argv[1:], KNOWN)
    if len(rest) != 1:
        refuse("qsub", "which script?")
    script = Path(rest[0]).read_text()
    options = directives("qsub", "#PBS ", script, KNOWN)
    resources = dict(word.split("=", 1) for word in (*options.get("-l", []), *given.get("-l", [])))
    options |= given
    if not {"select", "walltime"} <= resources.keys():
        refuse("qsub", "no -l select or no -l walltime")
    chunks, _, kind = resources["select"].partition(":")
    per_chunk = dict(pair.split("=") for pair in kind.split(":"))

    # A job starts at home, with little of its submitter's environment.
    environment = {
        name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TMPDIR", "STANDIN_LOGS") if name in os.environ
    }
    # What the login shell of a site that runs MPI as root would set.
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("OMPI_", "PRTE_"))}
    for assignment in ",".join(options.get("-v", [])).split(","):
        name, equals, value = assignment.partition("=")
        if name:
            environment[name] = value if equals else os.environ[name]
    number = f"{os.getpid()}"
    environment |= {"PBS_O_WORKDIR": os.getcwd(), "PBS_ENVIRONMENT": "PBS_BATCH", "OMP_NUM_THREADS": "4"}
    nodes = [f"localhost{os.linesep}"] * (int(chunks) * int(per_chunk.get("mpiprocs", 1)))
    array = options.get("-J")
    with tempfile.NamedTemporaryFile("w", suffix=".nodes") as nodefile, tempfile.TemporaryDirectory() as home:
        nodefile.writelines(nodes)
        nodefile.flush()
        environment["PBS_NODEFILE"] = nodefile.name
        for index in indices(re.sub(r"[:%].*", "", array[-1])) if array else [None]:
            here = environment | {"PBS_JOBID": f"{number}.standin" if index is None else f"{number}[{index}].standin"}
            if index is not None:
                here["PBS_ARRAY_INDEX"] = str(index)
            suffix = f".o{number}" + ("" if index is None else f".{index}")
            log = Path(os.environ["STANDIN_LOGS"]) / (options["-N"][-1] + suffix)
            run("qsub", script, log, here, Path(home))
    print(f"{number}{'[]' if array else ''}.standin")


if __name__ == "__main__":
    main()

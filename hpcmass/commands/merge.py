"""`hpcmass merge`: the parts of a sweep copied into one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command, sweeps_given
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS
from hpcmass.messages import logger
from hpcmass.text import counted


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "merge", run, "copy the parts of a sweep into one file",
                      "hpcmass merge -o sweep.h5 parts/part-*.h5          a file that `hpcmass run` can continue",
                      "the same command again                             copies what is missing",
                      "hpcmass merge -o sweep.h5 --pack parts/part-*.h5   compressed and checksummed",
                      "hpcmass merge -o sweep.h5 small.h5                 unpacks a packed file",
                      continues=True)  # fmt: skip
    parser.add_argument("parts", type=Path, nargs="+", metavar="PART", help="sweep files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("--pack", action="store_true",
                        help="a compressed and checksummed copy, which is never changed again")  # fmt: skip
    parser.add_argument("--partial", action="store_true", help="accept missing trials or parts")
    parser.add_argument("--force", action="store_true", help="start over; an existing file is backed up")


def run(options: argparse.Namespace) -> int:
    from hpcmass.progress import progress_of
    from hpcmass.store.merge import merge

    with progress_of("trial") as advance:
        merged = merge(
            sweeps_given(options.parts),
            options.output,
            packed=options.pack,
            partial=options.partial,
            force=options.force,
            progress=advance,
        )
    print(f"{merged.output}: {merged.done} of {merged.total} trials, from {counted(merged.n_files, 'file')}")
    if merged.overlapping:
        logger.info(
            "%s in several files, identical in all of them", counted(merged.overlapping, "trial is", "trials are")
        )
    if merged.failed:
        logger.warning("%s failed; `hpcmass status %s` says why", counted(merged.failed, "trial"), merged.output)
    pending = merged.total - merged.done - merged.failed
    if pending:
        missing = counted(pending, "trial is", "trials are")
        logger.warning("%s missing; `hpcmass run CONFIG -o %s` completes the sweep", missing, merged.output)
    return EXIT_FAILED_TRIALS if merged.failed else EXIT_DONE

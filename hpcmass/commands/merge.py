"""`hpcmass merge`: the parts of a sweep as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS, EXIT_STOPPED_EARLY
from hpcmass.messages import say, warn


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "merge", run, "put the parts of a sweep together as one file",
                      "hpcmass merge -o sweep.h5 parts/part-*.h5          a view of the parts, at once",
                      "hpcmass merge -o sweep.h5 --pack parts/part-*.h5   a compressed copy",
                      "hpcmass merge -o small.h5 --pack sweep.h5          a compressed copy of one file")  # fmt: skip
    parser.add_argument("parts", type=Path, nargs="+", metavar="PART", help="sweep files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="sweep file (HDF5)")
    parser.add_argument("--pack", action="store_true",
                        help="copy the parts, compressed and checksummed, instead of referring to them")  # fmt: skip
    parser.add_argument("--partial", action="store_true", help="also if trials or parts are missing")
    parser.add_argument("--force", action="store_true", help="start anew; a file that is there is kept aside")


def run(options: argparse.Namespace) -> int:
    from hpcmass.store.merge import merge

    merged = merge(options.parts, options.output, packed=options.pack, partial=options.partial, force=options.force)
    files = "1 file" if merged.n_files == 1 else f"{merged.n_files} files"
    print(f"{merged.output}: {merged.done} of {merged.total} trials, from {files}")
    if merged.overlapping:
        say(f"{merged.overlapping} trials are in several files, equal in all")
    if merged.failed:
        warn(f"{merged.failed} trials failed; `hpcmass status {merged.output}` says why")
    pending = merged.total - merged.done - merged.failed
    if pending:
        warn(f"{pending} trials are missing; `hpcmass run CONFIG -o {merged.output}` does them")
        return EXIT_STOPPED_EARLY
    return EXIT_FAILED_TRIALS if merged.failed else EXIT_DONE

"""`hpcmass view`: a comparison or a sweep in the browser, also while it grows."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, add_set, names, sweeps_given, whole
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.interrupts import lost_to, raise_again

if TYPE_CHECKING:
    from hpcmass.live.server import Server

LAST_PORT = 65535


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "view", run, "show a comparison, or a sweep while it runs, in the browser",
                      "hpcmass view comparison.h5",
                      "hpcmass view sweep.h5                           compares what is done; the maps fill in",
                      "hpcmass view results/part-*.h5                  the parts of a job array",
                      "hpcmass view sweep.h5 --models MFM,my_models.py:WC --statistics my_stats.py:jitter",
                      "hpcmass view sweep.h5 --port 8765 --no-browser  on a cluster, with ssh -L")  # fmt: skip
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE",
                        help="comparison file, sweep file, or the parts of one sweep; they are only read")  # fmt: skip
    parser.add_argument("--models", type=names, metavar="NAME,…",
                        help="mass models in place of the sweep's own, each a name or FILE.py:NAME")  # fmt: skip
    parser.add_argument("--statistics", type=names, metavar="NAME,…",
                        help="statistics of your own, each a name or FILE.py:NAME")  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="CONFIG",
                        help="take the settings of mass models and statistics from this configuration")  # fmt: skip
    add_set(parser)
    parser.add_argument("--port", type=whole(0), default=0, metavar="N", help="port (default: any that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the link and open nothing")


def run(options: argparse.Namespace) -> int:
    from hpcmass.config.file import comparison_settings
    from hpcmass.live.own_directory import redirect_page
    from hpcmass.live.viewer import has_display, ssh_line, view

    comparison_settings(options.config, options.assignments)  # to refuse them before a link is printed
    if options.port > LAST_PORT:
        raise UserError(f"--port {options.port}: give a number up to {LAST_PORT}")

    def opened(server: Server, own: Path) -> None:
        print(server.link, flush=True)
        if not has_display():
            print(f"on your own machine: {ssh_line(server.port)}", flush=True)
        elif not options.no_browser:
            import webbrowser

            webbrowser.open(redirect_page(own, server.link))

    _end_cleanly()
    view(
        sweeps_given(options.files), port=options.port, models=options.models, statistics=options.statistics,
        config=options.config, assignments=options.assignments, opened=opened,
    )  # fmt: skip
    return EXIT_DONE


def _end_cleanly() -> None:
    """End with the exit code of a signal, and remove temporary files first."""
    if threading.current_thread() is not threading.main_thread():
        return

    last = int(signal.SIGTERM)

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal last
        last = number
        raise SystemExit(128 + number)

    sys.unraisablehook = lost_to(SystemExit, lambda: raise_again(last))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)

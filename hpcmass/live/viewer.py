"""`hpcmass view`: the server, and the process of low priority that compares and makes its pages."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Final

from hpcmass.errors import LostWorker, UserError
from hpcmass.live.background import Answer, Request, answer, begin
from hpcmass.live.own_directory import own_directory
from hpcmass.live.server import HOST, Server, Shown
from hpcmass.live.trials import progress_of, sweep_note
from hpcmass.messages import logger
from hpcmass.parallel.executors import background_process
from hpcmass.store.opening import open_hdf5
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import COMPARISON_FILETYPE, SWEEP_FILETYPE

LEAST_S: Final = 2.0
"""Least time between two readings of the file."""

IDLE_S: Final = 5.0
"""The same once there is nothing left to compare and no job is writing."""

SHARE: Final = 0.25
"""Most of one core that the viewer takes while a sweep is running."""

AGAIN_S: Final = 30.0
"""Time until the second process is started again after it was killed."""


def is_sweep(paths: Sequence[Path]) -> bool:
    """Whether these are the files of a sweep; False for a comparison file.

    Raises
    ------
    UserError
        If they are neither.
    """
    first = paths[0]
    try:
        open_hdf5(first, COMPARISON_FILETYPE).close()
    except UserError:
        open_hdf5(first, SWEEP_FILETYPE).close()
        return True
    if len(paths) > 1:
        raise UserError(f"{first} is a comparison; give one comparison, or the parts of one sweep")
    return False


def has_display() -> bool:
    """Whether a browser on this machine is what the user sees."""
    if os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def ssh_line(port: int) -> str:
    """The command for the user's own machine."""
    return f"ssh -N -L {port}:{HOST}:{port} {quote(getpass.getuser())}@{quote(socket.gethostname())}"


def view(
    paths: Sequence[Path],
    *,
    port: int = 0,
    models: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    config: Path | None = None,
    assignments: Sequence[str] = (),
    opened: Callable[[Server, Path], object] = lambda server, own: None,
) -> None:
    """Serve the page of a comparison or a sweep until the process is interrupted.

    Parameters
    ----------
    paths : sequence of Path
        A comparison file, or the files of a sweep; none of them, and nothing beside them, is written.
    port : int
        0 for any that is free.
    models, statistics : sequence of str, optional
        In place of those that the configuration of the sweep names, as for `compare_sweep`.
    config : Path, optional
        A configuration whose settings of mass models and statistics replace the sweep's.
    assignments : sequence of str
        Values in place of this file's, such as `compare.alpha=0.05`.
    opened : callable
        Called when the server answers, with the server and the viewer's own directory.

    Raises
    ------
    UserError
        If the files are not readable, the port cannot be used, the sweep cannot be compared, or models, statistics or
        settings are given for a comparison.
    """
    sweep = is_sweep(paths)
    if not sweep and (models or statistics or config):
        option = "--models" if models else "--statistics" if statistics else "--config"
        raise UserError(f"{paths[0]} is a comparison, which has its models and statistics; give {option} with a sweep")
    first = Request(
        tuple(path.absolute() for path in paths), None, "1", "",
        models=None if models is None else tuple(models), statistics=None if statistics is None else tuple(statistics),
        config=config and config.absolute(), assignments=tuple(assignments),
    )  # fmt: skip
    shown = Shown(paths[0].name)
    with Server(shown, port) as server, own_directory() as own:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            opened(server, own)
            _follow(shown, replace(first, own=own / "comparison.h5") if sweep else first)
        finally:
            server.shutdown()


def _follow(shown: Shown, first: Request) -> None:
    """Keep the page up to date, for ever; `first` asks for the first page."""
    reporter = _Reporter(shown, first.paths if first.own else ())
    while True:
        try:
            with background_process(begin) as executor:
                known = ""
                while True:
                    request = replace(first, version=str(shown.version + 1), known=known)
                    future = executor.submit(answer, request)
                    rest = LEAST_S
                    while not wait([future], timeout=rest).done:
                        rest = reporter.counts()
                    try:
                        found = future.result()
                    except (UserError, OSError) as error:
                        if shown.page is None:
                            raise
                        reporter.say("gone", f"{error}; this page shows what was read before.")
                        known, rest = "", IDLE_S
                    else:
                        if found.page is not None:
                            shown.replace(found.page)
                        reporter.points = found.points
                        if first.own is None:
                            reporter.say(found.state, found.note)
                        else:  # more trials may be done by now
                            reporter.counts()
                        known, rest = found.stamp, _rest_s(found)
                    time.sleep(rest)
        except LostWorker as error:
            reporter.say("gone", f"The viewer's second process was lost ({error}); it starts again in {AGAIN_S:g} s.")
            time.sleep(AGAIN_S)


class _Reporter:
    """Says how far the sweep is on the page, and in the terminal when its state changes.

    Parameters
    ----------
    shown : Shown
    sweep : sequence of Path
        Its files; none for a comparison.

    Attributes
    ----------
    points : tuple of int
        Points compared, and all, as far as it is known.
    """

    def __init__(self, shown: Shown, sweep: Sequence[Path]) -> None:
        self._shown, self._sweep = shown, sweep
        self._reported = ""
        self.points = (0, 0)

    def say(self, state: str, note: str) -> None:
        """Show a state and its sentence."""
        self._shown.say(state, note)
        if state != self._reported:
            self._reported = state
            logger.info(note[0].lower() + note[1:].rstrip("."))

    def counts(self) -> float:
        """Count the trials, while the second process compares; returns the time until this is done again."""
        start = time.process_time()
        if self._sweep and self.points[1]:
            # what is wrong with a file is said by the second process
            with suppress(UserError, OSError), SweepParts(self._sweep) as parts:
                self.say(*sweep_note(progress_of(parts), *self.points))
        return max(LEAST_S, (time.process_time() - start) * (1 / SHARE - 1))


def _rest_s(found: Answer) -> float:
    """Time until the next reading: the sweep has the cores."""
    if found.state == "running":
        return max(LEAST_S, found.cpu_s * (1 / SHARE - 1))
    return LEAST_S if found.more else max(IDLE_S, found.cpu_s * (1 / SHARE - 1))

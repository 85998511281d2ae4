"""`hpcmass watch`: the grid of a sweep in the terminal, while it runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command, add_plane, interval, sweeps_given
from hpcmass.errors import EXIT_DONE, EXIT_FAILED_TRIALS

if TYPE_CHECKING:
    from hpcmass.live.picture import LastTrial, Screen
    from hpcmass.live.trials import Trials

COLUMNS = 80


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "watch", run, "draw the grid of a sweep in the terminal, while it runs",
                      "hpcmass watch sweep.h5                          until no trial is pending",
                      "hpcmass watch sweep.h5 --once                   one picture",
                      "hpcmass watch sweep.h5 --show rate --at w_I=0.002",
                      "hpcmass watch results/part-*.h5                 the parts of a job array")  # fmt: skip
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="SWEEP", help="sweep file, or the parts of one sweep")
    parser.add_argument("--once", action="store_true", help="print one picture")
    parser.add_argument("--interval", type=interval, default=5.0, metavar="S",
                        help="time between two pictures in seconds (default 5)")  # fmt: skip
    parser.add_argument("--show", default="state", metavar="NAME",
                        help="state of the trials (default), or a statistic: rate, rate_I, spike_contrast, cv_isi, "
                        "wall_s, ...")  # fmt: skip
    add_plane(parser)


def run(options: argparse.Namespace) -> int:
    from hpcmass.live.picture import picture, sides, statistic_of
    from hpcmass.live.trials import read_trials
    from hpcmass.streams import CLEAR_SCREEN, lost_results

    statistic = statistic_of(options.show)
    sweeps = sweeps_given(options.sweeps)
    title = str(sweeps[0]) + (f" and {len(sweeps) - 1} more" if len(sweeps) > 1 else "")
    seen = _Seen()
    first = True
    while True:
        trials = read_trials(sweeps, statistic)
        side = sides(trials.axes, options.axes, options.at)
        screen = _screen(once=options.once)
        text = picture(trials, options.show, side, screen, title=title, last=seen.last(trials))
        if screen.rows is not None:
            print(CLEAR_SCREEN, end="")
        elif not first:
            print()
        print(text, flush=True)
        first = False
        if trials.progress.finished:
            return EXIT_FAILED_TRIALS if trials.progress.failed else EXIT_DONE
        if options.once or lost_results():
            return EXIT_DONE
        time.sleep(options.interval)


class _Seen:
    """Which trials have ended since the command started, and when: the file has no times."""

    def __init__(self) -> None:
        self._ended: set[tuple[int, ...]] | None = None
        self._last: dict[tuple[int, int], tuple[tuple[int, ...], float]] = {}

    def last(self, trials: Trials) -> dict[tuple[int, int], LastTrial]:
        """File and rank → the trial that it stored last."""
        from hpcmass.grid import places, trial_label, values_at
        from hpcmass.live.picture import LastTrial
        from hpcmass.store.schema import PENDING

        now = time.monotonic()
        ended = set(places((trials.status != PENDING) & (trials.rank >= 0)))
        for index in sorted(ended - self._ended) if self._ended is not None else ():
            self._last[int(trials.owner[index]), int(trials.rank[index])] = (index, now)
        self._ended = ended
        found = {}
        for pair, (index, when) in self._last.items():
            label = trial_label(values_at(trials.axes, index), int(trials.numbers[index[-1]]))
            found[pair] = LastTrial(label, float(trials.wall_s[index]), now - when)
        return found


def _screen(*, once: bool) -> Screen:
    """What standard output can show."""
    from hpcmass.live.picture import Screen

    unicode = "utf" in (sys.stdout.encoding or "").lower()
    if not sys.stdout.isatty():
        return Screen(COLUMNS, None, colour=False, unicode=unicode)
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    size = os.get_terminal_size(sys.stdout.fileno())
    rows = None if once or dumb or not size.lines else size.lines
    colour = not dumb and not os.environ.get("NO_COLOR")
    return Screen(min(COLUMNS, size.columns or COLUMNS), rows, colour=colour, unicode=unicode)

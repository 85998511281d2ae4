"""Errors of a user's input or environment, and the exit codes.

Every mistake a user can make (a configuration, a path, a foreign file, a full disk) is raised as
`UserError` with one sentence that names the key or the path and says what to do. The command line
prints that sentence and exits with `EXIT_BAD_INPUT`; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EXIT_DONE: Final = 0
EXIT_BAD_INPUT: Final = 2
EXIT_FAILED_TRIALS: Final = 3
EXIT_STOPPED_EARLY: Final = 75
"""EX_TEMPFAIL of sysexits.h: the batch system may requeue the job, which continues the sweep."""
EXIT_INTERRUPTED: Final = 130
"""The shell's exit code for Ctrl-C."""


class UserError(Exception):
    """A mistake of the user's; the message is one sentence for a terminal, without a traceback."""


class ConfigError(UserError):
    """A configuration that does not validate; the message has one line per problem.

    Parameters
    ----------
    message : str
    name : str
        What the configuration is called (a path).
    problems : tuple of str
        The problems of one that could be read; empty for one that could not.
    """

    def __init__(self, message: str, name: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.name, self.problems = name, problems

    @classmethod
    def of(cls, name: str, problems: Iterable[str]) -> ConfigError:
        """The error of a configuration with one or more problems, a sentence each."""
        listed = tuple(problems)
        count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
        return cls("\n  ".join([f"{name} has {count}:", *listed]), name, listed)


class LostWorker(UserError):
    """A worker process was killed or could not start."""


class TrialFailure(Exception):
    """A trial left the physical regime; the sweep marks it as failed and continues."""


class TrialTimeout(TrialFailure):
    """A trial was stopped at its deadline."""

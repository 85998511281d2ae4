"""What can go wrong for a user, and the exit codes that say so.

Every mistake a user can make (a configuration, a path, a foreign file, a full disk) is raised as
`UserError` with one sentence that names the key or the path and says what to do. The command line
prints that sentence and exits with `EXIT_BAD_INPUT`; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import Final

EXIT_DONE: Final = 0
EXIT_BAD_INPUT: Final = 2
EXIT_FAILED_TRIALS: Final = 3
EXIT_STOPPED_EARLY: Final = 75
"""As EX_TEMPFAIL of sysexits.h: the batch system may requeue the job, the sweep goes on."""
EXIT_INTERRUPTED: Final = 130
"""As a shell says it for Ctrl-C."""


class UserError(Exception):
    """A mistake of the user's; the message is one sentence for a terminal, without a traceback."""


class ConfigError(UserError):
    """A configuration that does not validate; the message has one line per problem."""


class TrialFailure(Exception):
    """A trial left the physical regime; the sweep marks it as failed and goes on."""


class TrialTimeout(TrialFailure):
    """A trial was stopped at its deadline."""

"""Commands called in this process, as the command line calls them."""

from __future__ import annotations

import pytest

from hpcmass.cli import main


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must end with exit code 2 and one message; returns the message."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as end:  # argparse
        code = end.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("hpcmass")
    return printed.err

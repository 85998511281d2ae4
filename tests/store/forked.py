"""Runs commands of hpcmass, each in a separate process that has imported everything already.

Each line of standard input is a JSON object with `arguments`, `directory`, `limit` (bytes of the largest file that
may be written, or null) and `patches` ("module:name" → value); each line of standard output says how it ended.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import tempfile
import traceback

import hpcmass.compare.pipeline
import hpcmass.store.check
import hpcmass.store.labelled
import hpcmass.store.merge
import hpcmass.store.status
import hpcmass.sweep.run
import hpcmass.trial  # noqa: F401
from hpcmass.cli import main
from hpcmass.network import warm_up


def run(arguments: list[str], directory: str, limit: int | None, patches: dict[str, object]) -> dict[str, object]:
    """Run one command in a child process: exit code (negative: a signal), and what it printed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            code: object = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                os.chdir(directory)
                for place, value in patches.items():
                    module, name = place.split(":")
                    setattr(importlib.import_module(module), name, value)
                if limit is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                code = main(arguments)
            except SystemExit as stop:
                code = stop.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return {"code": code, "out": texts[0], "err": texts[1]}


def serve() -> None:
    """Answer until standard input ends."""
    warm_up()
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()

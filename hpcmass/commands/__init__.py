"""The subcommands, one module each, in the order in which `hpcmass --help` lists them.

A command's module has `add_parser(commands)`, which declares its arguments, and `run(options)`, which does the work and
returns the exit code. Heavy libraries are imported within `run`, so that `hpcmass status` answers at once and the
commands that only read never initialise MPI.
"""

from hpcmass.commands import (
    check,
    claims,
    compare,
    config,
    figure,
    go,
    import_,
    kernels,
    merge,
    plan,
    plot,
    refine,
    run,
    status,
    summary,
    trial,
    validate,
    view,
    watch,
)

COMMANDS = (
    config, validate, plan, go, run, watch, status, check, merge, import_, compare, summary, claims, plot, figure, view,
    refine, trial, kernels,
)  # fmt: skip
"""Every subcommand's module; a new one is added here and nowhere else."""

"""`hpcmass kernels`: compile everything once, for many jobs."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcmass.commands.arguments import Commands, add_command
from hpcmass.errors import EXIT_DONE, UserError
from hpcmass.messages import logger
from hpcmass.text import counted

if TYPE_CHECKING:
    from hpcmass.config import Experiment


def add_parser(commands: Commands) -> None:
    parser = add_command(commands, "kernels", run, "compile all kernels into a directory that jobs share",
                      "hpcmass kernels --into ~/hpcmass-kernels    on a node where the jobs run",
                      "export HPCMASS_KERNELS=~/hpcmass-kernels    in the jobs: they load the kernels",
                      "hpcmass kernels --into DIR eif.yml          those of its neuron model, too")  # fmt: skip
    parser.add_argument(
        "configs",
        nargs="*",
        type=Path,
        metavar="CONFIG",
        help="configurations whose neuron model or delay has kernels of its own",
    )
    parser.add_argument("--into", type=Path, required=True, metavar="DIR",
                        help="directory that only you can write; kernels of other processors in it stay")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from hpcmass.compiled import open_cache
    from hpcmass.config.file import load_experiment
    from hpcmass.kernel_cache import SHARED_KERNELS

    directory = options.into.absolute()
    os.environ["NUMBA_CACHE_DIR"] = str(directory)  # read when the first kernel is compiled
    os.environ.pop(SHARED_KERNELS, None)
    _compile_all([load_experiment(path) for path in options.configs])
    stored = [open_cache(name) for name in ("network", "mass")]
    if any(cache.directory is None for cache in stored):
        raise UserError(f"no kernels can be stored in {directory}; give a directory that only you can write")
    n_kernels = sum(cache.share() for cache in stored)
    print(f"{directory}: {counted(n_kernels, 'kernel')}; set {SHARED_KERNELS}={directory} in the jobs")
    if commands := list(dict.fromkeys(command for cache in stored for command in cache.unshared())):
        logger.info("other users cannot read these kernels; to let them: %s", " && ".join(commands))
    return EXIT_DONE


def _compile_all(experiments: Sequence[Experiment]) -> None:
    """Compile every kernel of the network and of the mass models: small trials and their comparison."""
    from hpcmass.compare.recorded import compare_traces
    from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
    from hpcmass.mass import Traces
    from hpcmass.mass.registry import known_models
    from hpcmass.network import simulate, warm_up

    warm_up(NetworkParameters(), *(network for one in experiments for network in one.networks_at_ends()))
    network = NetworkParameters(n_neurons=64, n_external=64, p_ext=1.0, w_ext=0.5, duration_ms=1000, transient_ms=100)
    recorded = [simulate(network, 0.5, 0.5, (1, 2, 3, trial), keep_spikes=True) for trial in range(2)]
    trials = [Traces(**{f.name: getattr(one, f.name) for f in dataclasses.fields(Traces)}) for one in recorded]
    compare_traces(trials, network, MassParameters(models=known_models()), CompareParameters())

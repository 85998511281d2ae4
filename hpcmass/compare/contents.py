"""What a comparison computes: its settings, own code and scanned parameter, checked before any trial is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpcmass.compare.own import statistics_of
from hpcmass.compare.scan import Scan, scan_of
from hpcmass.compare.settings import require_settings
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.config.file import changed, validated
from hpcmass.mass.registry import declared_models
from hpcmass.plugins import Code, sources
from hpcmass.store.parts import SweepParts
from hpcmass.store.schema import OwnStatistic


@dataclass(frozen=True)
class Contents:
    """What a comparison computes.

    Attributes
    ----------
    experiment : Experiment
        The sweep's, with the settings of the comparison.
    own : tuple of OwnStatistic
    code : dict
        Where own models and statistics are from, see `plugins.sources`.
    scan : Scan, optional
    """

    experiment: Experiment
    own: tuple[OwnStatistic, ...]
    code: Code
    scan: Scan | None

    @property
    def n_values(self) -> int:
        """Values of the scanned parameter; 1 without one."""
        return 1 if self.scan is None else len(self.scan.values)

    def masses(self) -> list[MassParameters]:
        """The mass parameters at each value of the scanned parameter."""
        base = self.experiment.mass
        return [base] if self.scan is None else [self.scan.mass(base, i) for i in range(self.n_values)]


def contents_of(
    sweep: SweepParts,
    *,
    mass: MassParameters | None = None,
    compare: CompareParameters | None = None,
    models: Sequence[str] | None = None,
    statistics: Sequence[str] | None = None,
    scan: Mapping[str, Any] | None = None,
) -> Contents:
    """What a comparison of this sweep is to compute; arguments as for `compare_sweep`.

    Raises
    ------
    UserError
        If a model, a statistic or a setting does not exist or does not fit the sweep.
    """
    experiment = _with_settings(sweep.experiment, mass, compare, models, statistics)
    declared = declared_models(experiment.mass, sweep.trace_names, sweep.shape[-1])
    own = statistics_of(experiment.compare)
    require_settings(experiment.network, experiment.compare)
    return Contents(
        experiment=experiment,
        own=tuple(each.value.about for each in own.values()),
        code=sources([*declared.values(), *own.values()]),
        scan=None if scan is None else scan_of(scan, experiment.mass, [*sweep.axes, *own]),
    )


def own_code(mass: MassParameters, compare: CompareParameters) -> Code:
    """Where the code of the models and statistics that are not part of hpcmass is from, and its hash."""
    return sources([*declared_models(mass).values(), *statistics_of(compare).values()])


def _with_settings(
    experiment: Experiment,
    mass: MassParameters | None,
    compare: CompareParameters | None,
    models: Sequence[str] | None,
    statistics: Sequence[str] | None,
) -> Experiment:
    """The sweep's experiment with the settings that the comparison uses.

    Where these are the sweep's own, it keeps its text, in which every number has its unit and origin.
    """
    mass, compare = mass or experiment.mass, compare or experiment.compare
    if models is not None:
        mass = mass.with_models([models] if isinstance(models, str) else models)
    if statistics is not None:
        listed = (statistics,) if isinstance(statistics, str) else tuple(statistics)
        compare = validated(CompareParameters, compare.model_dump() | {"statistics": listed})
    if (mass, compare) == (experiment.mass, experiment.compare):
        return experiment
    sections = {"mass": mass, "compare": compare}
    return changed(experiment, {k: v.model_dump(mode="json", exclude_none=True) for k, v in sections.items()})

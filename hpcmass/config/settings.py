"""The sections `mass`, `compare` and `traces`: settings that leave the simulated networks as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    ConfigDict,
    field_validator,
    model_validator,
)

from hpcmass.config.section import Listed, Section, parameter
from hpcmass.nearest import did_you_mean
from hpcmass.plugins import label_of


class MassParameters(Section):
    """The section `mass`: one synaptic time constant, which mass models to run, and parameters of their own.

    A model is named, or is in a Python file, `my_models.py:WC`. A further key is the name of such a model, with values
    of the parameters that it declares, `WC: {gain: 3.0}`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, float]]

    tau_s_ms: float = parameter(5.0, "ms", "paper", "synaptic time constant of the mass models", gt=0)
    models: Annotated[tuple[str, ...], Listed] = parameter(
        ("CFM", "MFM"), "names", "paper", "mass models to run, each a name or FILE.py:NAME", min_length=1
    )

    @model_validator(mode="after")
    def _parameters_belong_to_a_model(self) -> Self:
        for name in self.own:
            if name not in self.labels:
                hint = did_you_mean(name, self.labels) or f"the models are {', '.join(self.labels)}"
                raise ValueError(f"'{name}' is neither a key nor a model in mass.models; {hint}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the models: `WC` of `my_models.py:WC`."""
        return tuple(label_of(reference) for reference in self.models)

    @property
    def own(self) -> dict[str, dict[str, float]]:
        """Name of a model → values of the parameters that it declares, where they are given."""
        return self.__pydantic_extra__ or {}

    def with_models(self, models: Sequence[str]) -> MassParameters:
        """The same with other models; parameters of models that are left out are left out, too."""
        from hpcmass.config.file import validated

        labels = [label_of(reference) for reference in models if isinstance(reference, str)]
        dropped = {name for name in self.own if name not in labels}
        return validated(MassParameters, self.model_dump(exclude=dropped) | {"models": tuple(models)})

    def with_parameter(self, model: str, name: str, value: float) -> MassParameters:
        """The same with another value of a parameter that a model declares."""
        from hpcmass.config.file import validated

        return validated(MassParameters, self.model_dump() | {model: {**self.own.get(model, {}), name: value}})


class CompareParameters(Section):
    """Settings of the statistics; changing them never invalidates a sweep."""

    alpha: float = parameter(0.01, "1", "paper", "level of every test", gt=0, lt=1)
    rho_min: float = parameter(0.9, "1", "choice", "correlation that counts as agreement", ge=-1, lt=1)
    spike_contrast_min: float = parameter(0.2, "1", "choice", "Spike-contrast of a synchronised network", ge=0, le=1)
    max_lag_ms: float = parameter(50.0, "ms", "choice", "largest lag searched, in either direction", gt=0)
    bin_hz: float = parameter(2.0, "Hz", "choice", "width of the bins that chi-squared compares", gt=0)
    band_hz: Annotated[tuple[float, float], Listed] = parameter(
        (0.0, 500.0), "Hz", "choice", "band of the spectra, lowest and highest frequency; zero itself is excluded"
    )
    statistics: Annotated[tuple[str, ...], Listed] = parameter(
        (), "names", "choice", "own statistics to compute, each a name or FILE.py:NAME"
    )
    histogram_count: float | None = parameter(
        None, "counts", "choice", "total count of the spectra as histograms; null: trials x bins", gt=0
    )

    @field_validator("band_hz")
    @classmethod
    def _band_ascends(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError("must be [low, high] with 0 <= low < high")
        return value


class TraceParameters(Section):
    """The section `traces`: which traces a sweep file keeps; it never changes a result, nor a comparison."""

    keep: Literal["all", "first_trial", "none"] = parameter(
        "all", "names", "choice", "trials of each point whose traces the sweep file keeps: all, first_trial or none"
    )
    every_ms: float | None = parameter(
        None, "ms", "choice", "keep means over windows of this length in place of every step; null: every step", gt=0
    )

    @property
    def allow_comparison(self) -> bool:
        """Whether `hpcmass compare` finds what it needs: every step of every trial."""
        return self.keep == "all" and self.every_ms is None

    def n_trials(self, trials: int) -> int:
        """Trials of a point whose traces are kept, the first ones."""
        return {"all": trials, "first_trial": 1, "none": 0}[self.keep]

    def n_averaged(self, dt_ms: float) -> int:
        """Steps in a window; 1 where every step is kept."""
        return 1 if self.every_ms is None else round(self.every_ms / dt_ms)

    def text(self) -> str:
        """For messages: `traces.keep = none`."""
        given = {"keep": self.keep, "every_ms": self.every_ms}
        return ", ".join(f"traces.{k} = {v}" for k, v in given.items() if v not in ("all", None)) or "traces.keep = all"

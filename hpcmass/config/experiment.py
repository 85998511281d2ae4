"""One experiment: the keys of a configuration file as validated, frozen `Experiment`.

The fields are the only definition of the keys of a configuration file, their units, defaults and allowed
ranges. Defaults are the reference set of the documentation; the origin of each
number (the paper, related literature, our choice) is kept beside it. Reference: Deschle, Gossn, Tewarie,
Schelter & Daffertshofer (2021), Front. Comput. Neurosci. 14:581040; equation numbers are that paper's.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hpcmass.config.axes import Axis, Bounds, axis_problems, bounds_of
from hpcmass.config.derived import MV2_PER, NoiseUnit, Tie, WeightScaling, depends_on, derived
from hpcmass.config.imported import Imported
from hpcmass.config.limits import too_large, too_many_steps
from hpcmass.config.yaml_text import written
from hpcmass.nearest import did_you_mean
from hpcmass.plugins import label_of
from hpcmass.text import counted, is_control

Origin = Literal["paper", "related literature", "choice"]

NeuronModel = Literal["LIF", "EIF", "QIF"]


def _parameter(default: Any, unit: str, origin: Origin, meaning: str, **bounds: Any) -> Any:
    """A field that carries its meaning, its unit and its origin beside default and bounds."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit, "origin": origin}, **bounds)


_Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""YAML has lists, a frozen section has tuples."""


class _Section(BaseModel):
    # a default is validated, too: a transient that is left out can be longer than the duration that is given
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """1e3 is a whole number, too."""
        field = cls.model_fields[info.field_name or ""]
        return int(value) if field.annotation is int and isinstance(value, float) and value.is_integer() else value


class NetworkParameters(_Section):
    """The spiking network of equations (7) and (11); one trial is `(NetworkParameters, p, lam, seed)`."""

    n_neurons: int = _parameter(10_000, "1", "paper", "neurons, excitatory and inhibitory together", ge=2, le=65_535)
    n_external: int = _parameter(10_000, "1", "paper", "Poisson units outside the network", ge=0, le=1_000_000)
    dt_ms: float = _parameter(0.1, "ms", "paper", "integration step", gt=0)
    duration_ms: float = _parameter(3.0e4, "ms", "paper", "duration of a trial, transient included", gt=0)
    transient_ms: float = _parameter(3.0e3, "ms", "paper", "start of a trial that every statistic discards", ge=0)
    noise_q: float = _parameter(5.0e-4, "mV^2 ms", "paper", "intensity Q of the white noise of each neuron", ge=0)
    external_rate_hz: float = _parameter(5.0, "Hz", "paper", "firing rate of each external unit", ge=0)
    p_ext: float = _parameter(0.1, "1", "choice", "external unit to excitatory neuron, probability", ge=0, le=1)
    p_ext_I: float = _parameter(0.0, "1", "choice", "external unit to inhibitory neuron, probability", ge=0, le=1)
    p_EE: float = _parameter(1.0, "1", "choice", "factor on p for connections from excitatory to excitatory", ge=0)
    p_EI: float = _parameter(1.0, "1", "choice", "factor on p for connections from excitatory to inhibitory", ge=0)
    p_IE: float = _parameter(1.0, "1", "choice", "factor on p for connections from inhibitory to excitatory", ge=0)
    p_II: float = _parameter(1.0, "1", "choice", "factor on p for connections from inhibitory to inhibitory", ge=0)
    tau_m_ms: float = _parameter(20.0, "ms", "related literature", "membrane time constant", gt=0)
    v_leak_mv: float = _parameter(-74.0, "mV", "related literature", "leak reversal potential")
    v_reset_mv: float = _parameter(-60.0, "mV", "related literature", "potential after a spike")
    v_threshold_mv: float = _parameter(
        -54.0, "mV", "related literature", "potential at which a neuron spikes (EIF, QIF: begins its upstroke)"
    )
    t_ref_ms: float = _parameter(5.0, "ms", "related literature", "refractory period, spent at v_reset_mv", ge=0)
    v_exc_mv: float = _parameter(0.0, "mV", "related literature", "reversal potential of excitatory synapses")
    v_inh_mv: float = _parameter(-80.0, "mV", "related literature", "reversal potential of inhibitory synapses")
    v_ext_mv: float = _parameter(0.0, "mV", "related literature", "reversal potential of external synapses")
    tau_E_ms: float = _parameter(3.0, "ms", "related literature", "decay of the excitatory conductance", gt=0)
    tau_I_ms: float = _parameter(7.0, "ms", "related literature", "decay of the inhibitory conductance", gt=0)
    tau_ext_ms: float = _parameter(5.0, "ms", "paper", "decay of the external conductance", gt=0)
    w_E: float = _parameter(0.0007, "1", "choice", "jump of the conductance (leak = 1) at an excitatory spike", ge=0)
    w_I: float = _parameter(0.004, "1", "choice", "jump of the conductance (leak = 1) at an inhibitory spike", ge=0)
    w_ext: float = _parameter(0.0133, "1", "choice", "jump of the conductance (leak = 1) at an external spike", ge=0)
    delay_ms: float = _parameter(
        0.0, "ms", "choice", "from a spike to its effect on other neurons; 0: one step, the shortest", ge=0
    )
    neuron_model: NeuronModel = _parameter(
        "LIF", "name", "paper", "integrate-and-fire neurons: LIF, leaky; EIF, exponential; QIF, quadratic"
    )
    delta_t_mv: float = _parameter(
        2.0, "mV", "related literature", "slope factor of the upstroke of an EIF neuron, Delta_T", gt=0
    )
    v_cutoff_mv: float = _parameter(0.0, "mV", "choice", "potential at which an EIF or QIF neuron spikes")
    noise_unit: NoiseUnit = _parameter("mV^2 ms", "name", "choice", "unit of noise_q: mV^2 ms or V^2 ms")
    weight_scaling: WeightScaling = _parameter(
        "none", "name", "choice", "how w_E and w_I follow the mean degree k = n_neurons p: none, 1/k or 1/sqrt(k)"
    )
    reference_degree: float = _parameter(
        1000.0, "1", "choice", "mean degree at which scaled weights are w_E and w_I", gt=0
    )

    _ties: dict[str, Tie] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _with_ties(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A parameter that is a multiple of an axis has its default here, and its value in `at`."""
        given = {k: v for k, v in data.items() if isinstance(v, Mapping)} if isinstance(data, Mapping) else {}
        ties = {name: _tie(name, value) for name, value in given.items() if name in TIEABLE}
        network = handler({k: v for k, v in data.items() if k not in ties} if ties else data)
        if ties:
            network._ties = ties
        return network

    @model_serializer(mode="wrap")
    def _dump_with_ties(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**handler(self), **{name: tie.model_dump() for name, tie in self._ties.items()}}

    @field_validator("duration_ms", "t_ref_ms", "delay_ms")
    @classmethod
    def _steps_can_be_counted(cls, value: float, info: ValidationInfo) -> float:
        dt = info.data.get("dt_ms")
        if dt is not None and (problem := too_many_steps(value, dt)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("transient_ms")
    @classmethod
    def _transient_leaves_something(cls, value: float, info: ValidationInfo) -> float:
        duration, dt = info.data.get("duration_ms"), info.data.get("dt_ms")
        if duration is not None and value >= duration:
            raise ValueError(f"must be shorter than duration_ms = {duration:g}")
        if duration is not None and dt is not None and round(duration / dt) - round(value / dt) < 2:
            raise ValueError(f"leaves less than two steps of dt_ms = {dt:g} before duration_ms = {duration:g}")
        return value

    @field_validator("v_threshold_mv")
    @classmethod
    def _threshold_above_reset(cls, value: float, info: ValidationInfo) -> float:
        reset = info.data.get("v_reset_mv")
        if reset is not None and value <= reset:
            raise ValueError(f"must be above v_reset_mv = {reset:g}")
        return value

    @field_validator("neuron_model")
    @classmethod
    def _upstroke_begins_above_the_leak(cls, value: NeuronModel, info: ValidationInfo) -> NeuronModel:
        leak, threshold = info.data.get("v_leak_mv"), info.data.get("v_threshold_mv")
        if value == "QIF" and leak is not None and threshold is not None and threshold <= leak:
            raise ValueError(
                f"must be LIF or EIF while v_threshold_mv = {threshold:g} is not above v_leak_mv = {leak:g}"
            )
        return value

    @field_validator("v_cutoff_mv")
    @classmethod
    def _cutoff_above_threshold(cls, value: float, info: ValidationInfo) -> float:
        threshold = info.data.get("v_threshold_mv")
        if info.data.get("neuron_model") in ("EIF", "QIF") and threshold is not None and value <= threshold:
            raise ValueError(f"must be above v_threshold_mv = {threshold:g}")
        return value

    @field_validator("tau_m_ms", "tau_E_ms", "tau_I_ms", "tau_ext_ms")
    @classmethod
    def _step_resolves(cls, value: float, info: ValidationInfo) -> float:
        dt = info.data.get("dt_ms")
        if dt is not None and value < 2 * dt:
            raise ValueError(f"must be at least two steps of dt_ms = {dt:g}, else forward Euler is meaningless")
        return value

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, self._ties.get(str(name), value)) for name, value in super().__repr_args__())

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A parameter that may follow an axis is a number or a tie."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        tie = Tie.model_json_schema()
        for name in TIEABLE:
            key = schema["properties"][name]
            number = {k: key.pop(k) for k in list(key) if k == "type" or "inimum" in k or "aximum" in k}
            key["anyOf"] = [number, tie]
        return schema

    @property
    def ties(self) -> dict[str, Tie]:
        """Parameters that are a multiple of an axis; `at` gives their values."""
        return dict(self._ties)

    def at(self, values: Mapping[str, float]) -> NetworkParameters:
        """The parameters at one point of the grid, all of them numbers.

        Parameters
        ----------
        values : mapping of str to float
            Value of each axis; other names are ignored.

        Returns
        -------
        NetworkParameters
            Axes have replaced the parameters of their name; tied parameters follow their axes, w_E and w_I the
            mean degree; noise_q is in mV²·ms.

        Raises
        ------
        ValueError
            If a value is not allowed (pydantic's ValidationError), or an axis that a parameter follows is missing.
        """
        swept = {k: v for k, v in values.items() if k in NetworkParameters.model_fields}
        parameters = self.model_dump()
        absent = sorted(depends_on(parameters) - set(values))
        if absent:
            raise ValueError(f"the network depends on {', '.join(absent)}; give a value")
        if not swept and not depends_on(parameters) and MV2_PER[self.noise_unit] == 1:
            return self
        swept = {k: int(v) if k in _WHOLE_NUMBERS and v == int(v) else v for k, v in swept.items()}
        return NetworkParameters.model_validate(derived({**parameters, **swept}, values))

    @property
    def n_steps(self) -> int:
        """Number of integration steps, transient included."""
        return round(self.duration_ms / self.dt_ms)

    @property
    def n_transient(self) -> int:
        """Number of leading steps that every statistic discards."""
        return round(self.transient_ms / self.dt_ms)

    @property
    def n_delay(self) -> int:
        """Steps from a spike to the first step in which it acts on other neurons, one at the least."""
        return max(1, round(self.delay_ms / self.dt_ms))

    def pathway_probabilities(self, p: float) -> dict[str, float]:
        """Connection probabilities at `p` from excitatory to excitatory neurons, EE, and likewise EI, IE and II.

        Raises
        ------
        ValueError
            If one is above 1.
        """
        factors = {"EE": self.p_EE, "EI": self.p_EI, "IE": self.p_IE, "II": self.p_II}
        for pathway, factor in factors.items():
            if p * factor > 1 + 1e-9:  # values of axes have twelve digits
                raise ValueError(
                    f"p_{pathway} = {factor:g} times p = {p:g} is a probability above 1; give p_{pathway} of at most "
                    f"{1 / p:.6g}, or p of at most {1 / factor:.6g}"
                )
        return {pathway: min(p * factor, 1.0) for pathway, factor in factors.items()}

    def g_tilde_ms(self) -> dict[str, float]:
        """The mass models' g̃_σ = w_σ τ_σ (ms) for σ = E, I, ext, from the jumps w (leak units) of (11b)."""
        return {
            "E": self.w_E * self.tau_E_ms,
            "I": self.w_I * self.tau_I_ms,
            "ext": self.w_ext * self.tau_ext_ms,
        }

    def reversal_mv(self) -> dict[str, float]:
        """The reversal potentials V_σ (mV) for σ = E, I, ext."""
        return {"E": self.v_exc_mv, "I": self.v_inh_mv, "ext": self.v_ext_mv}


ONE_TIME_AXIS = ("dt_ms", "duration_ms", "transient_ms")
"""Parameters that cannot be swept: a file has one time axis and one transient."""

_NUMBERS = tuple(k for k, f in NetworkParameters.model_fields.items() if f.annotation in (int, float))

SWEEPABLE = ("p", "lam", *(k for k in _NUMBERS if k not in ONE_TIME_AXIS))
"""Names that may stand under `grid`."""

_WHOLE_NUMBERS = {k for k in _NUMBERS if NetworkParameters.model_fields[k].annotation is int}

COUNTED_IN_STEPS = ("t_ref_ms", "delay_ms")
"""Times that a trial counts in steps, and that a grid may sweep."""

TIEABLE = tuple(k for k in SWEEPABLE[2:] if k not in _WHOLE_NUMBERS and k not in COUNTED_IN_STEPS)
"""Parameters that may be a multiple of an axis."""

ADDED: dict[str, float | str] = {
    "p_ext_I": 0.0,
    "p_EE": 1.0,
    "p_EI": 1.0,
    "p_IE": 1.0,
    "p_II": 1.0,
    "delay_ms": 0.0,
    "neuron_model": "LIF",
    "delta_t_mv": 2.0,
    "v_cutoff_mv": 0.0,
    "noise_unit": "mV^2 ms",
    "weight_scaling": "none",
    "reference_degree": 1000.0,
}
"""Keys that the first files of format 2 do not have → what such a file means: it does not enter a sweep's identity."""


def _tie(name: str, value: Mapping[str, Any]) -> Tie:
    try:
        return Tie.model_validate(dict(value))
    except ValidationError:
        raise ValueError(
            f"{name}: give a number, or {{times: AXIS, factor: NUMBER}} for a multiple of an axis, not {dict(value)}"
        ) from None


def _bounds(name: str) -> Bounds:
    """Bounds of a sweepable parameter."""
    if name in ("p", "lam"):
        return {"ge": 0.0, "le": 1.0}
    return bounds_of(NetworkParameters.model_fields[name])


class _GridBase(_Section):
    p: Axis = _parameter(..., "1", "choice", "connection probability, in [0, 1]")
    lam: Axis = _parameter(..., "1", "choice", "excitatory fraction, in [0, 1]")

    @field_validator("*")
    @classmethod
    def _values_are_allowed(cls, values: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        name = str(info.field_name)
        problems = axis_problems(values or (), _bounds(name), whole=name in _WHOLE_NUMBERS)
        if problems:
            raise ValueError("; ".join(problems))
        return values

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name → values, in the order of the file's dimensions: p, lam, then the other swept parameters."""
        named = {name: getattr(self, name) for name in SWEEPABLE}
        return {name: values for name, values in named.items() if values is not None}


def _further_axis(name: str) -> Any:
    swept = NetworkParameters.model_fields[name]
    extra = swept.json_schema_extra
    unit = str(extra["unit"]) if isinstance(extra, dict) else "1"
    return _parameter(None, unit, "choice", f"a further axis: {swept.description}")


if TYPE_CHECKING:
    Grid = _GridBase
else:
    Grid = create_model(
        "Grid",
        __base__=_GridBase,
        __module__=__name__,
        __doc__="The axes of the sweep: `p`, `lam` and any of `SWEEPABLE`, each a tuple of increasing values.",
        **{name: (Axis | None, _further_axis(name)) for name in SWEEPABLE if name not in ("p", "lam")},
    )


class MassParameters(_Section):
    """The section `mass`: one synaptic time constant, which mass models to run, and parameters of their own.

    A model is named, or is in a Python file, `my_models.py:WC`. A further key is the name of such a model, with values
    of the parameters that it declares, `WC: {gain: 3.0}`.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, float]]

    tau_s_ms: float = _parameter(5.0, "ms", "paper", "synaptic time constant of the mass models", gt=0)
    models: Annotated[tuple[str, ...], _Listed] = _parameter(
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


class CompareParameters(_Section):
    """Settings of the statistics; changing them never invalidates a sweep."""

    alpha: float = _parameter(0.01, "1", "paper", "level of every test", gt=0, lt=1)
    rho_min: float = _parameter(0.9, "1", "choice", "correlation that counts as agreement", ge=-1, lt=1)
    spike_contrast_min: float = _parameter(0.2, "1", "choice", "Spike-contrast of a synchronised network", ge=0, le=1)
    max_lag_ms: float = _parameter(50.0, "ms", "choice", "largest lag searched, in either direction", gt=0)
    bin_hz: float = _parameter(2.0, "Hz", "choice", "width of the components that chi-squared compares", gt=0)
    band_hz: Annotated[tuple[float, float], _Listed] = _parameter(
        (0.0, 500.0), "Hz", "choice", "band of the spectra, lowest and highest frequency; zero itself is excluded"
    )
    statistics: Annotated[tuple[str, ...], _Listed] = _parameter(
        (), "names", "choice", "own statistics to compute, each a name or FILE.py:NAME"
    )
    histogram_count: float | None = _parameter(
        None, "counts", "choice", "total count of the spectra as histograms; null: trials x components", gt=0
    )

    @field_validator("band_hz")
    @classmethod
    def _band_ascends(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError("must be [low, high] with 0 <= low < high")
        return value


class TraceParameters(_Section):
    """The section `traces`: which traces a sweep file keeps; it never changes a result, nor a comparison."""

    keep: Literal["all", "first_trial", "none"] = _parameter(
        "all", "names", "choice", "trials of each point whose traces the sweep file keeps: all, first_trial or none"
    )
    every_ms: float | None = _parameter(
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


def plain_message(message: str) -> str:
    """A pydantic message without its own preamble, starting in lower case."""
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


SPELT = {"λ": "lam", "lambda": "lam", "lamda": "lam"}
"""Other spellings of a key, in lower case."""

ASIDE = "x-"
"""Keys of a configuration file with this prefix are not read: a place for anchors."""


class Experiment(_Section):
    """A whole configuration file.

    Attributes
    ----------
    title : str
    root_seed : int
        Root of every random stream; with the values (p, lam, trial) it fixes a trial completely.
    trials : int
        Independent networks per grid point.
    grid, network, mass, compare, traces : sections
    """

    title: str = Field("hpcmass sweep", description="what the sweep is called in files and figures")
    root_seed: int = _parameter(20_210_114, "1", "choice", "root of every random stream", ge=0, lt=2**64)
    trials: int = _parameter(10, "1", "paper", "independent networks at each point", ge=1, le=1_000_000)
    network: NetworkParameters = NetworkParameters()
    grid: Grid
    mass: MassParameters = MassParameters()
    compare: CompareParameters = CompareParameters()
    traces: TraceParameters = TraceParameters()

    _text: str | None = PrivateAttr(None)
    _assignments: tuple[str, ...] = PrivateAttr(())
    _imported: Imported | None = PrivateAttr(None)

    @field_validator("title")
    @classmethod
    def _title_can_be_written(cls, value: str) -> str:
        if any(is_control(c) and c not in "\n\t" for c in value):
            raise ValueError("must be text without control characters")
        return value

    @model_validator(mode="after")
    def _size_is_possible(self) -> Self:
        """Runs first: the later checks take a time that grows with the grid."""
        problem = too_large(self.grid.axes(), self.trials, dict(self.network))
        if problem is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _ties_have_an_axis(self) -> Self:
        axes = self.grid.axes()
        for name, tie in self.network.ties.items():
            if name in axes:
                raise ValueError(
                    f"network.{name}: follows {tie.times}, but the grid sweeps it; leave out one of the two"
                )
            if tie.times not in axes:
                hint = did_you_mean(SPELT.get(tie.times.casefold(), tie.times), axes)
                raise ValueError(
                    f"network.{name}: times must be an axis of the grid, not '{tie.times}'; "
                    f"{hint or 'the axes are ' + ', '.join(axes)}"
                )
        return self

    @model_validator(mode="after")
    def _every_point_is_a_network(self) -> Self:
        """Conditions between parameters (a swept threshold above the reset) hold at every corner of the grid.

        No condition concerns more than two of them, so the axes are checked in pairs; twenty axes have a million
        corners. Tied parameters are largest and smallest at the ends of the axis that they follow.
        """
        needed = depends_on(self.network.model_dump())
        axes = {k: values for k, values in self.grid.axes().items() if k not in ("p", "lam") or k in needed}
        first = {name: values[0] for name, values in axes.items()}
        for names in itertools.combinations(axes, min(2, len(axes))):
            for ends in itertools.product(*({axes[name][0], axes[name][-1]} for name in names)):
                self._require_network(first | dict(zip(names, ends, strict=True)))
        return self

    @model_validator(mode="after")
    def _connections_have_probabilities(self) -> Self:
        """p times the factor of a pathway is largest where all axes are."""
        largest = {name: values[-1] for name, values in self.grid.axes().items()}
        try:
            self.network_at(largest).pathway_probabilities(largest["p"])
        except ValueError as error:
            raise ValueError(f"grid: {error}") from None
        return self

    @model_validator(mode="after")
    def _windows_are_whole_steps(self) -> Self:
        every_ms, network = self.traces.every_ms, self.network
        if every_ms is not None:
            steps = every_ms / network.dt_ms
            if round(steps) < 2 or abs(steps - round(steps)) > 1e-6 * steps:
                raise ValueError(
                    f"traces.every_ms: must be a whole number of steps of dt_ms = {network.dt_ms:g}, at least two, "
                    f"not {every_ms:g}"
                )
            if round(steps) > network.n_steps:
                raise ValueError(f"traces.every_ms: is longer than duration_ms = {network.duration_ms:g}")
        return self

    def _require_network(self, point: dict[str, float]) -> None:
        try:
            self.network_at(point)
        except ValidationError as error:
            where = ", ".join(f"{name} = {value:g}" for name, value in point.items())
            wrong = [f"{'.'.join(map(str, e['loc']))} {plain_message(e['msg'])}" for e in error.errors()]
            raise ValueError(f"grid: at {where}: {'; '.join(wrong)}") from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; a changed copy no longer has the text that the original was read from."""
        copy = super().model_copy(update=update, deep=deep)
        if update:
            copy._text = None
        return copy

    def vary(self, keys: Mapping[str, Any] | None = None, /, **named: Any) -> Experiment:
        """A changed copy, validated like a configuration file.

        Parameters
        ----------
        keys : mapping of str to object, optional
            Dotted key of a configuration file → its value, `{"network.tau_E_ms": 5}`; None sets a key to its default,
            or removes an axis.
        **named
            The same by plain name: `p` and `lam`, `trials`, and any key of `network`, `mass` and `compare`. A parameter
            of the network that the grid sweeps, or that is given several values, is an axis of the grid. An axis is a
            number, a sequence, an array, `{"linspace": [first, last, n]}` or `{"logspace": [first, last, n]}`.

        Returns
        -------
        Experiment
            Its text, which is stored in files, has the changes.

        Raises
        ------
        UserError
            If a name is unknown, or given twice.
        ConfigError
            With every problem of the copy, as of a file.

        Examples
        --------
        >>> from hpcmass import Experiment
        >>> experiment = Experiment(grid={"p": 0.2, "lam": 0.8})
        >>> slower = experiment.vary(tau_E_ms=5, trials=3, p=[0.1, 0.5])
        >>> slower.network.tau_E_ms, slower.trials, slower.grid.p
        (5.0, 3, (0.1, 0.5))
        >>> experiment.vary(w_I=[0.002, 0.004]).grid.axes()
        {'p': (0.2,), 'lam': (0.8,), 'w_I': (0.002, 0.004)}
        >>> experiment.vary(tau_e_ms=5)
        Traceback (most recent call last):
            ...
        hpcmass.errors.UserError: there is no key 'tau_e_ms'; did you mean 'tau_E_ms'?
        """
        from hpcmass.config.vary import varied

        return varied(self, keys or {}, named)

    @property
    def text(self) -> str:
        """The YAML text this experiment was read from, or an equivalent one."""
        return self._text if self._text is not None else written(self.document())

    def document(self) -> dict[str, Any]:
        """The keys and values of an equivalent file; those without a value are left out."""
        keys = self.model_dump(mode="json", exclude_none=True)
        return keys if self._imported is None else {**keys, "imported": self._imported.model_dump(mode="json")}

    @property
    def imported(self) -> Imported | None:
        """Where the recordings come from, if another program has made them."""
        return self._imported

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name → values of all axes, in the order of a file's dimensions: the grid's, then those of an import."""
        further = {} if self._imported is None else self._imported.axes
        return {**self.grid.axes(), **further}

    def axis_units(self) -> dict[str, str]:
        """Units of those axes that are no parameters of the network, or have another unit than by default."""
        imported = {} if self._imported is None else self._imported.units
        return {"noise_q": self.network.noise_unit, **imported}

    @property
    def assignments(self) -> tuple[str, ...]:
        """What `--set` has put in place of values of the file, `KEY=VALUE`."""
        return self._assignments

    def outline(self) -> str:
        """Axes, points and trials on one line: `axes p (12), lam (9), 108 points, 216 trials of 2.5 s`."""
        lengths = {name: len(values) for name, values in self.axes().items()}
        points = math.prod(lengths.values())
        axes = ", ".join(f"{name} ({length})" for name, length in lengths.items())
        seconds = f"{self.network.duration_ms / 1e3:.4g} s"
        return f"axes {axes}, {counted(points, 'point')}, {counted(points * self.trials, 'trial')} of {seconds}"

    def _repr_html_(self) -> str:
        """For a notebook: what it is, and every value that is not its default."""
        from hpcmass.config.reference import differences

        rows = (
            "".join(f"<td>{html.escape(text)}</td>" for text in (key.path, key.value, key.unit, key.meaning))
            for key in differences(self)
        )
        head = "".join(f"<th>{name}</th>" for name in ("key", "value", "unit", "meaning"))
        return (
            f"<p><b>{html.escape(self.title)}</b>: {self.outline()}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
            "<p>All other keys have their defaults.</p>"
        )

    def physics(self) -> dict[str, Any]:
        """Everything that fixes the result of a trial beside its grid values: seed, axis names, network.

        A swept parameter's own entry under `network` has no influence and is left out.
        """
        axes = self.axes()
        keys = self.network.model_dump().items()
        fixed = {k: v for k, v in keys if k not in axes and not (k in ADDED and v == ADDED[k])}
        origin = {} if self._imported is None else {"imported": self._imported.identity}
        network = {f"network.{k}": v for k, v in fixed.items()}
        return {"root_seed": self.root_seed, "axes": sorted(axes), **network, **origin}

    def physics_sha256(self) -> str:
        """Hash of `physics`: two sweeps with the same hash may share trials."""
        return hashlib.sha256(json.dumps(self.physics(), sort_keys=True).encode()).hexdigest()

    def network_at(self, values: dict[str, float]) -> NetworkParameters:
        """The network's parameters at one grid point (`values`: axis name → value; other names are ignored)."""
        return self.network.at(values)

    def networks_at_ends(self) -> list[NetworkParameters]:
        """The network where all axes have their first values, and where they have their last ones."""
        axes = self.axes()
        return [self.network_at({name: values[end] for name, values in axes.items()}) for end in (0, -1)]

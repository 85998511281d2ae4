"""The section `network`: parameters of the spiking network, with unit and origin.

The origin of a number is the paper, related literature or our choice. The paper: Deschle, Gossn, Tewarie, Schelter &
Daffertshofer (2021), Front. Comput. Neurosci. 14:581040; equation numbers are that paper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import (
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hpcmass.config.derived import MV2_PER, NoiseUnit, Tie, WeightScaling, depends_on, derived
from hpcmass.config.limits import too_many_steps
from hpcmass.config.section import Section, parameter

NeuronModel = Literal["LIF", "EIF", "QIF"]


class NetworkParameters(Section):
    """The spiking network of equations (7) and (11); one trial is `(NetworkParameters, p, lam, seed)`."""

    n_neurons: int = parameter(10_000, "1", "paper", "neurons, excitatory and inhibitory together", ge=2, le=65_535)
    n_external: int = parameter(10_000, "1", "paper", "Poisson units outside the network", ge=0, le=1_000_000)
    dt_ms: float = parameter(0.1, "ms", "paper", "integration step", gt=0)
    duration_ms: float = parameter(3.0e4, "ms", "paper", "duration of a trial, transient included", gt=0)
    transient_ms: float = parameter(
        3.0e3, "ms", "paper", "start of a trial that every statistic discards; by our reading a tenth", ge=0
    )
    noise_q: float = parameter(
        5.0e-4, "mV^2 ms", "paper", "intensity Q of the white noise of each neuron (the paper has no unit)", ge=0
    )
    external_rate_hz: float = parameter(5.0, "Hz", "paper", "firing rate of each external unit", ge=0)
    p_ext: float = parameter(0.1, "1", "choice", "external unit to excitatory neuron, probability", ge=0, le=1)
    p_ext_I: float = parameter(0.0, "1", "choice", "external unit to inhibitory neuron, probability", ge=0, le=1)
    p_EE: float = parameter(1.0, "1", "choice", "factor on p for connections from excitatory to excitatory", ge=0)
    p_EI: float = parameter(1.0, "1", "choice", "factor on p for connections from excitatory to inhibitory", ge=0)
    p_IE: float = parameter(1.0, "1", "choice", "factor on p for connections from inhibitory to excitatory", ge=0)
    p_II: float = parameter(1.0, "1", "choice", "factor on p for connections from inhibitory to inhibitory", ge=0)
    tau_m_ms: float = parameter(20.0, "ms", "related literature", "membrane time constant", gt=0)
    v_leak_mv: float = parameter(-74.0, "mV", "related literature", "leak reversal potential")
    v_reset_mv: float = parameter(-60.0, "mV", "related literature", "potential after a spike")
    v_threshold_mv: float = parameter(
        -54.0, "mV", "related literature", "potential at which a neuron spikes (EIF, QIF: begins its upstroke)"
    )
    t_ref_ms: float = parameter(5.0, "ms", "related literature", "refractory period, spent at v_reset_mv", ge=0)
    v_exc_mv: float = parameter(0.0, "mV", "related literature", "reversal potential of excitatory synapses")
    v_inh_mv: float = parameter(-80.0, "mV", "related literature", "reversal potential of inhibitory synapses")
    v_ext_mv: float = parameter(0.0, "mV", "related literature", "reversal potential of external synapses")
    tau_E_ms: float = parameter(3.0, "ms", "related literature", "decay of the excitatory conductance", gt=0)
    tau_I_ms: float = parameter(7.0, "ms", "related literature", "decay of the inhibitory conductance", gt=0)
    tau_ext_ms: float = parameter(
        5.0, "ms", "choice", "decay of the external conductance; the paper's mean over all synapses", gt=0
    )
    w_E: float = parameter(0.0007, "1", "choice", "jump of the conductance (leak = 1) at an excitatory spike", ge=0)
    w_I: float = parameter(0.004, "1", "choice", "jump of the conductance (leak = 1) at an inhibitory spike", ge=0)
    w_ext: float = parameter(0.0133, "1", "choice", "jump of the conductance (leak = 1) at an external spike", ge=0)
    delay_ms: float = parameter(
        0.0, "ms", "choice", "from a spike to its effect on other neurons; 0: one step, the shortest", ge=0
    )
    neuron_model: NeuronModel = parameter(
        "LIF", "name", "paper", "integrate-and-fire neurons: LIF, leaky; EIF, exponential; QIF, quadratic"
    )
    delta_t_mv: float = parameter(
        2.0, "mV", "related literature", "slope factor of the upstroke of an EIF neuron, Delta_T", gt=0
    )
    v_cutoff_mv: float = parameter(0.0, "mV", "choice", "potential at which an EIF or QIF neuron spikes")
    noise_unit: NoiseUnit = parameter("mV^2 ms", "name", "choice", "unit of noise_q: mV^2 ms or V^2 ms")
    weight_scaling: WeightScaling = parameter(
        "none", "name", "choice", "how w_E and w_I follow the mean degree k = n_neurons p: none, 1/k or 1/sqrt(k)"
    )
    reference_degree: float = parameter(
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
        swept = {k: int(v) if k in WHOLE_NUMBERS and v == int(v) else v for k, v in swept.items()}
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

WHOLE_NUMBERS = {k for k in _NUMBERS if NetworkParameters.model_fields[k].annotation is int}

COUNTED_IN_STEPS = ("t_ref_ms", "delay_ms")
"""Times that a trial counts in steps, and that a grid may sweep."""

TIEABLE = tuple(k for k in SWEEPABLE[2:] if k not in WHOLE_NUMBERS and k not in COUNTED_IN_STEPS)
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

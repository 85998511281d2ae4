"""A section of a configuration: fields with unit, origin and meaning, strict and frozen."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

Origin = Literal["paper", "related literature", "choice"]


def parameter(default: Any, unit: str, origin: Origin, meaning: str, **bounds: Any) -> Any:
    """A field that carries its meaning, its unit and its origin beside default and bounds."""
    return Field(default, description=meaning, json_schema_extra={"unit": unit, "origin": origin}, **bounds)


Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""YAML has lists, a frozen section has tuples."""


class Section(BaseModel):
    # a default is validated, too: a transient that is left out can be longer than the duration that is given
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)

    def __init__(self, /, **keys: Any) -> None:
        """Make it in place, `Experiment(grid={"p": 0.2, "lam": 0.8})`; what is wrong is said as of a file.

        Raises
        ------
        ConfigError
            With every problem.
        """
        try:
            super().__init__(**keys)
        except ValidationError as error:
            from hpcmass.config.file import refusal

            raise refusal(type(self), error, keys) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # so that a file's sections are validated without it

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """1e3 is a whole number, too."""
        field = cls.model_fields[info.field_name or ""]
        return int(value) if field.annotation is int and isinstance(value, float) and value.is_integer() else value

"""What a parameter of a node is, how a table of them is declared, and how values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter

Value = bool | int | float | str | list[str]
Change = Literal["always", "while unconfigured", "at start"]


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: Its name in ROS.
        default: Its value when nobody sets it; also its type.
        description: What it does, with the unit.
        change: When it may be set.
        choices: The allowed strings; empty for any.
        limits: The allowed least and largest number; None for any.
        fault: Why a value is refused that is of the right kind, or nothing.
    """

    name: str
    default: Value
    description: str
    change: Change = "always"
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    fault: Callable[[Any], str] = lambda _: ""

    def __post_init__(self) -> None:
        """Refuse a default that the parameter itself would refuse."""
        if self.choices and self.default not in self.choices:
            raise ValueError(f"{self.name}: default {self.default!r} is not in {self.choices}")

    def descriptor(self) -> ParameterDescriptor:
        """Return the parameter as ROS tools show it, its range enforced by rclpy."""
        return ParameterDescriptor(
            name=self.name,
            description=self.description,
            additional_constraints=f"may be set {self.change}{_one_of(self.choices)}",
            read_only=self.change == "at start",
            **self._range(),
        )

    def _range(self) -> dict[str, list[FloatingPointRange] | list[IntegerRange]]:
        if self.limits is None:
            return {}
        least, most = self.limits
        if isinstance(self.default, int):
            return {"integer_range": [IntegerRange(from_value=int(least), to_value=int(most))]}
        return {
            "floating_point_range": [
                FloatingPointRange(from_value=float(least), to_value=float(most))
            ]
        }

    def refusal(self, value: Value, state: str) -> str:
        """Return why a value of the right type and range is refused; empty if it is not.

        Args:
            value: The new value.
            state: The node's lifecycle state.
        """
        if self.choices and value not in self.choices:
            return f"{self.name}: got {value!r}, expected one of {', '.join(self.choices)}"
        if self.change == "while unconfigured" and state != "unconfigured":
            return f"{self.name} can be set while the node is unconfigured, it is {state}"
        fault = self.fault(value)
        return f"{self.name}: {fault}" if fault else ""


def _one_of(choices: tuple[str, ...]) -> str:
    return f"; one of {', '.join(choices)}" if choices else ""


@dataclass(frozen=True)
class Settings:
    """The student's parameters that may change between two frames; see `parameter_tables`."""

    output_size: str
    min_confidence: float
    depth_encoding: str
    max_range: float
    rectified: bool
    fallback_fx: float

    @classmethod
    def of(cls, node: LifecycleNode) -> Settings:
        """Read the values as they are now."""
        return cls(
            output_size=str(value(node, "output_size")),
            min_confidence=float(value(node, "min_confidence")),
            depth_encoding=str(value(node, "depth_encoding")),
            max_range=float(value(node, "max_range")),
            rectified=bool(value(node, "rectified")),
            fallback_fx=float(value(node, "fallback_fx")),
        )


def value(node: Node, name: str) -> Any:
    """Return the present value of a parameter."""
    return node.get_parameter(name).value


def declare(
    node: Node,
    table: Iterable[Spec],
    state: Callable[[], str] = lambda: "running",
    take: Callable[[Mapping[str, Value]], str] = lambda _: "",
) -> None:
    """Declare a table's parameters on a node and judge every later change.

    Args:
        node: Whose they are.
        table: What they are.
        state: Gives the node's lifecycle state.
        take: Does what new values ask for, by name; returns why it cannot be done, or nothing.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A start value is refused.
        rclpy.exceptions.InvalidParameterTypeException: A start value is of another type.
    """
    specs = {spec.name: spec for spec in table}

    def judge(parameters: Iterable[Parameter[Any]]) -> SetParametersResult:
        now = state()
        known = {p.name: p.value for p in parameters if p.name in specs}
        refusals = (specs[name].refusal(new, now) for name, new in known.items())
        reason = "; ".join(filter(None, refusals)) or take(known)
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(judge)
    node.declare_parameters("", [(s.name, s.default, s.descriptor()) for s in specs.values()])


def state_of(node: LifecycleNode) -> str:
    """Return the label of a node's lifecycle state, such as `active`."""
    label: str = node._state_machine.current_state[1]  # rclpy has no public way to ask
    return label

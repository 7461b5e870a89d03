"""The semantic layers in a ROS parameter file, read as leniently as faults in them allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mtl_perception.errors import PerceptionError
from mtl_perception.nav2.costmap import DECAY_S, SEMANTIC, TOPICS

NODE = "ros__parameters"

LONGEST_S = 2.0**31
"""What ROS's clocks can count, in seconds."""


@dataclass(frozen=True)
class Source:
    """One camera of a layer.

    Attributes:
        name: Of it.
        where: Of its parameters, for messages.
        namespace: Of the costmap, where relative topics lie.
        parameters: As they stand in the file; empty if they are missing.
    """

    name: str
    where: str
    namespace: str
    parameters: Mapping[str, Any]

    def topic(self, parameter: str) -> str:
        """The full name of the topic that a parameter names; "" if it names none."""
        name = self.parameters.get(parameter)
        if not isinstance(name, str) or not name:
            return ""
        return name if name.startswith("/") else f"{self.namespace}/{name}"

    def topics(self) -> dict[str, str]:
        """The topics of all parameters in `TOPICS`."""
        return {parameter: self.topic(parameter) for parameter in TOPICS}

    def groups(self) -> dict[str, Any]:
        """The parameters of each group in `class_types`; of one that is missing, None."""
        names = map(str, listed(self.parameters.get("class_types")))
        return {name: self.parameters.get(name) for name in names}

    def classes(self) -> frozenset[str]:
        """All classes that have a cost."""
        groups = [group for group in self.groups().values() if isinstance(group, Mapping)]
        return frozenset(str(name) for group in groups for name in listed(group.get("classes")))

    def decay(self) -> Any:
        """How long observations count, seconds, as it stands in the file or by default."""
        return self.parameters.get("tile_map_decay_time", DECAY_S)

    def decay_s(self) -> float:
        """The same; the default, too, if it is no time."""
        return float(self.decay()) if is_time(self.decay()) else DECAY_S


@dataclass(frozen=True)
class Layer:
    """One semantic layer of a costmap.

    Attributes:
        where: Of its parameters, for messages.
        namespace: Of the costmap.
        parameters: As they stand in the file.
        use_sim_time: Of the costmap.
    """

    where: str
    namespace: str
    parameters: Mapping[str, Any]
    use_sim_time: bool

    def source_names(self) -> list[str]:
        """Names of the sources, also where they are a list by mistake."""
        names = self.parameters.get("observation_sources", "")
        return names.split() if isinstance(names, str) else [str(name) for name in listed(names)]

    def sources(self) -> list[Source]:
        """The sources, those without parameters too."""
        found = []
        for name in self.source_names():
            parameters = self.parameters.get(name)
            known = parameters if isinstance(parameters, Mapping) else {}
            found.append(Source(name, f"{self.where}.{name}", self.namespace, known))
        return found


def read_layers(path: Path) -> list[Layer]:
    """Read a parameter file.

    Returns:
        Its semantic layers, at least one.

    Raises:
        PerceptionError: It cannot be read, or has none.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as err:  # ValueError: 2024-13-45 is no date
        raise PerceptionError(f"{path}: {err}") from err
    layers = [layer for names, node in _nodes(content) for layer in _layers(names, node)]
    if not layers:
        raise PerceptionError(
            f"{path}: no layer of a costmap has 'plugin: {SEMANTIC}'; expected {NODE} with one"
        )
    return layers


def listed(value: Any) -> list[Any]:
    """A list as it is; anything else is none."""
    return value if isinstance(value, list) else []


def is_time(value: Any) -> bool:
    """Whether it is a number of seconds in which something can happen."""
    return type(value) in (int, float) and 0 < value < LONGEST_S


def _nodes(content: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each node's names and parameters."""
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if key == NODE:
            yield names, value
        else:
            yield from _nodes(value, (*names, *str(key).strip("/").split("/")))


def _layers(names: tuple[str, ...], node: Any) -> Iterator[Layer]:
    if not isinstance(node, Mapping):
        return
    namespace = "".join(f"/{name}" for name in names[:-1])
    for key, value in node.items():
        if isinstance(value, Mapping) and value.get("plugin") == SEMANTIC:
            where = ".".join((*names, str(key)))
            yield Layer(where, namespace, value, node.get("use_sim_time") is True)

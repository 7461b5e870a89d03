"""The model card: everything a robot must know of a model, inside the ONNX file's own metadata.

Training writes it, the run time reads it, and nothing of it is repeated in a parameter file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from mtl_core.errors import LabelMapError, ModelCardError
from mtl_core.labels import LabelMap

T = TypeVar("T")

METADATA_KEY = "mtl_model_card"
"""Key in ONNX `metadata_props` under which the card stands as JSON."""

INT8 = "-int8"
"""Ending of the names of networks in int8, and of their files: each is the twin of a float one."""

FP16 = "-fp16"
"""The same of those in float16."""

SCHEMA = 1
"""Version of the card's layout; a card of another version is refused, never guessed at."""

Role = Literal["student", "teacher"]

CLASSES = frozenset({"segmentation", "labels"})
"""Outputs and inputs that hold class ids or logits: with one of them, a card has a label map."""

METRIC: Mapping[str, int] = {"depth": -1, "inverse_depth": 1}
"""`ModelCard.power` of the cards that lack it: those of before models could be of any task."""


@dataclass(frozen=True)
class InputSpec:
    """What the network's `image` input expects: float32 NCHW RGB, (value / 255 - mean) / std.

    Attributes:
        height: Rows, a multiple of 32.
        width: Columns, a multiple of 32.
        mean: RGB mean, of values in 0..1.
        std: RGB standard deviation, of values in 0..1.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse sizes and statistics that no network of ours has."""
        sides = (self.height, self.width)
        if not all(isinstance(side, int) and side > 0 and side % 32 == 0 for side in sides):
            raise ModelCardError(
                f"input sides must be positive multiples of 32, got {self.height}x{self.width}"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ModelCardError(f"mean and std need 3 values, std > 0, got {self.mean} {self.std}")


@dataclass(frozen=True)
class DepthSpec:
    """What the network's `depth` output means.

    Attributes:
        min_m: Least depth it can say, metres.
        max_m: Largest depth it can say, metres.
        canonical_fx: Focal length it was trained at, in pixels of its own input's width. For a
            camera of another focal length multiply its depth by fx / canonical_fx.
    """

    min_m: float
    max_m: float
    canonical_fx: float

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if not 0 < self.min_m < self.max_m or self.canonical_fx <= 0:
            raise ModelCardError(f"need 0 < min_m < max_m and canonical_fx > 0, got {self}")


@dataclass(frozen=True)
class ModelCard:
    """Identity, interface and provenance of one model.

    Attributes:
        name: File stem, such as `student-lite0-288x384`.
        role: Student (RGB only) or teacher.
        input: Its image input.
        label_map: Classes of its segmentation; None where nothing of it has classes.
        depth: Range and canonical focal length of its depth; None where nothing of it is metric.
        data: What it was trained on and, in int8, calibrated with.
        licence: What its training data allow.
        metrics: Measured figures, by name; the name says the data.
        commit: Revision of this project that trained it.
        power: By name, the outputs and inputs given at the canonical focal length, which need a
            `depth`: there they are r ** power times what they are for a camera whose focal length
            is r times the canonical one. All others are the same for any camera.
        sibling: Which other network, made in the same way of less data, the figures called
            `sibling_...` are of; "" = there are none.
        schema: Version of this layout.

    Raises:
        ModelCardError: A field contradicts another or is not known.
    """

    name: str
    role: Role
    input: InputSpec
    label_map: LabelMap | None
    depth: DepthSpec | None
    data: tuple[str, ...]
    licence: str
    metrics: Mapping[str, float]
    commit: str
    power: Mapping[str, int] = field(default_factory=lambda: dict(METRIC))
    sibling: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse another schema or role."""
        if self.schema != SCHEMA:
            raise ModelCardError(f"model card of schema {self.schema!r}, expected {SCHEMA}")
        if self.role not in get_args(Role):
            raise ModelCardError(f"role must be one of {get_args(Role)}, got {self.role!r}")
        if not isinstance(self.data, tuple) or not all(isinstance(d, str) for d in self.data):
            raise ModelCardError(f"data must be a list of texts, got {self.data!r:.80}")
        if not all(isinstance(power, int) and power for power in self.power.values()):
            raise ModelCardError(f"powers must be whole numbers but 0, got {dict(self.power)}")

    def to_json(self) -> str:
        """The card as the text that `from_json` reads."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["input"] = dataclasses.asdict(self.input)
        fields["depth"] = self.depth and dataclasses.asdict(self.depth)
        fields["label_map"] = self.label_map and self.label_map.to_dict()
        fields["metrics"] = dict(self.metrics)
        fields["power"] = dict(self.power)
        return json.dumps(fields, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises:
            ModelCardError: Not JSON, another schema, or a field is missing, unknown or wrong.
        """
        fields = _parse(text)
        # The schema decides what the other fields may be, so it is judged before them.
        if fields.get("schema") != SCHEMA:
            raise ModelCardError(
                f"model card of schema {fields.get('schema')!r}, expected {SCHEMA}"
            )
        fields = {"power": METRIC, "sibling": "", **fields}
        _check_keys("model card", fields, cls)
        try:
            return cls(
                name=str(fields["name"]),
                role=fields["role"],
                input=_spec(InputSpec, fields["input"]),
                label_map=_nullable(LabelMap.from_dict, fields["label_map"]),
                depth=_nullable(partial(_spec, DepthSpec), fields["depth"]),
                data=_tuple(fields["data"]),
                licence=str(fields["licence"]),
                metrics={str(k): float(v) for k, v in fields["metrics"].items()},
                commit=str(fields["commit"]),
                power=dict(fields["power"]),
                sibling=str(fields["sibling"]),
                schema=fields["schema"],
            )
        except (TypeError, ValueError, AttributeError, LabelMapError) as err:
            raise ModelCardError(f"model card with a wrong field: {err}") from err


def _parse(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as err:
        raise ModelCardError(f"model card is not JSON ({err}): {text:.80}") from err
    if not isinstance(fields, dict):
        raise ModelCardError(f"model card must be a JSON object, got {text:.80}")
    return fields


def _check_keys(what: str, fields: Mapping[str, Any], cls: type[Any]) -> None:
    known = {f.name for f in dataclasses.fields(cls)}
    if difference := sorted(known ^ set(fields)):
        raise ModelCardError(
            f"{what}: fields missing or unknown: {', '.join(difference)}; "
            f"expected {', '.join(sorted(known))}"
        )


def _spec(cls: type[Any], fields: Any) -> Any:
    if not isinstance(fields, dict):
        raise ModelCardError(f"{cls.__name__} must be an object, got {fields!r:.80}")
    _check_keys(cls.__name__, fields, cls)
    return cls(**{k: _tuple(v) for k, v in fields.items()})


def _nullable(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

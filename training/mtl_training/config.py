"""One frozen configuration per run, read from TOML; unknown keys are fatal."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from mtl_training.errors import ConfigError


@dataclass(frozen=True)
class StudentConfig:
    """How a student is trained.

    Attributes:
        name: Name of the model, and of its file.
        nyuv2_list: File of `$MTL_DATA/nyuv2` that lists the training images, such as `fit.txt`.
        room_frames: Synthetic frames that join each epoch, each rendered anew.
        height: Input rows, a multiple of 32.
        width: Input columns, a multiple of 32.
        canonical_fx: Focal length, in pixels at `width`, at which depth is learned.
        min_depth_m: Least depth that the network can say, metres.
        max_depth_m: Largest depth likewise.
        epochs: Passes over the training images.
        batch_size: Images per step.
        backbone_lr: Peak learning rate of the pretrained encoder.
        lr: Peak learning rate of everything else.
        weight_decay: AdamW's.
        ema_decay: Decay per step of the averaged weights, which are what is exported.
        depth_weight: Weight of the depth loss beside the segmentation loss.
        seed: Of initialisation, order and augmentation.
    """

    name: str
    nyuv2_list: str
    room_frames: int
    height: int
    width: int
    canonical_fx: float
    min_depth_m: float
    max_depth_m: float
    epochs: int
    batch_size: int
    backbone_lr: float
    lr: float
    weight_decay: float
    ema_decay: float
    depth_weight: float
    seed: int

    def __post_init__(self) -> None:
        """Refuse settings that cannot train anything."""
        if self.height % 32 or self.width % 32 or min(self.height, self.width) <= 0:
            raise ConfigError(f"height and width: multiples of 32, got {self.height}x{self.width}")
        if not self.nyuv2_list and not self.room_frames:
            raise ConfigError("nothing to train on: nyuv2_list is empty and room_frames is 0")
        if self.epochs < 1 or self.batch_size < 2 or self.room_frames < 0:
            raise ConfigError(
                "epochs >= 1, batch_size >= 2 and room_frames >= 0 expected, got "
                f"{self.epochs}, {self.batch_size}, {self.room_frames}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must be in [0, 1), got {self.ema_decay}")


def load_config(path: Path) -> StudentConfig:
    """Read a configuration.

    Raises:
        ConfigError: The file is not TOML, or a key is unknown, missing or of the wrong type.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as err:
        raise ConfigError(f"{path}: {err}") from err
    known = get_type_hints(StudentConfig)
    if difference := sorted(known.keys() ^ fields.keys()):
        raise ConfigError(f"{path}: keys missing or unknown: {', '.join(difference)}")
    return StudentConfig(**{key: _typed(path, key, fields[key], known[key]) for key in fields})


def _typed(path: Path, key: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{path}: {key} must be {kind.__name__}, got {value!r}")
    return value


def config_fields(config: StudentConfig) -> dict[str, Any]:
    """The configuration as plain types, for the record beside a result."""
    return dataclasses.asdict(config)

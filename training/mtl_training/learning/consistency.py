"""Harder views of a batch, to which the averaged network's answers on the plain one carry over.

Sources: FixMatch (Sohn et al., NeurIPS 2020), CutMix for segmentation (French et al., BMVC 2020),
UniMatch (Yang et al., CVPR 2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from mtl_core.interface import STRIDE


@dataclass(frozen=True)
class StrongView:
    """A batch of hard images and what they should give.

    Attributes:
        image: (N, 3, H, W) float32.
        signals: (N, values, H, W) by input name.
        values: (N, C, H/4, W/4) float32 by task.
        weights: (N, H/4, W/4) float32 by task.
    """

    image: Tensor
    signals: dict[str, Tensor]
    values: dict[str, Tensor]
    weights: dict[str, Tensor]


def strong_view(
    image: Tensor,
    signals: Mapping[str, Tensor],
    values: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    generator: torch.Generator,
) -> StrongView:
    """Distort colours, blur some, and paste a box of each image's neighbour into it."""
    box = _box(image.shape[-2] // STRIDE, image.shape[-1] // STRIDE, generator)
    pixels = [edge * STRIDE for edge in box]
    distorted = _blurred(_recoloured(image, generator), generator)
    return StrongView(
        image=_pasted(distorted, pixels),
        signals={name: _pasted(signal, pixels) for name, signal in signals.items()},
        values={name: _pasted(value, box) for name, value in values.items()},
        weights={name: _pasted(weight, box) for name, weight in weights.items()},
    )


def _box(rows: int, columns: int, generator: torch.Generator) -> list[int]:
    """Top, bottom, left, right of a box of 10 to 50 % of the grid, in whole cells."""
    area, aspect, y, x = torch.rand(4, generator=generator).tolist()
    share, ratio = 0.1 + 0.4 * area, 2 ** (2 * aspect - 1)
    height = min(rows, max(1, round(rows * math.sqrt(share * ratio))))
    width = min(columns, max(1, round(columns * math.sqrt(share / ratio))))
    top, left = round(y * (rows - height)), round(x * (columns - width))
    return [top, top + height, left, left + width]


def _pasted(planes: Tensor, box: list[int]) -> Tensor:
    """(N, ..., H, W) with a box taken from the next of the batch."""
    top, bottom, left, right = box
    mixed = planes.clone()
    mixed[..., top:bottom, left:right] = planes.roll(1, 0)[..., top:bottom, left:right]
    return mixed


def _recoloured(image: Tensor, generator: torch.Generator) -> Tensor:
    """Contrast, brightness and saturation of normalised images, by up to a half."""
    draws = (torch.rand(3, len(image), 1, 1, 1, generator=generator) - 0.5).to(image.device)
    contrast, brightness, saturation = draws
    grey = image.mean(dim=1, keepdim=True)
    coloured = grey + (image - grey) * (1 + saturation)
    changed: Tensor = coloured * (1 + contrast) + brightness
    return changed


def _blurred(image: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images through a 5x5 mean."""
    which = torch.rand(len(image), 1, 1, 1, generator=generator) < 0.5
    soft = functional.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
    return torch.where(which.to(image.device), soft, image)

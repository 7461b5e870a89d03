"""Is depth plausible where no truth of it is? What true classes say of a scene's geometry.

A plane in space is linear in inverse depth over an image's columns and rows, whatever the camera's
intrinsics: with n . X = d and X = Z K^-1 (u, v, 1), 1 / Z is n . K^-1 (u, v, 1) / d. So the ground
can be judged without a scale. Nothing here measures one, nor an error in metres: there is no truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from mtl_core.draw import Bgr, colour_depth
from mtl_core.interface import STRIDE
from mtl_core.labels import LabelMap
from mtl_core.model import Model
from mtl_core.predictor import ModelPredictor
from mtl_training.data.catalogue import open_source
from mtl_training.data.files import Floats, Mask
from mtl_training.data.source import SampleSource
from mtl_training.errors import ConfigError, DatasetError
from mtl_training.evaluate import data_config, json_types, predicted
from mtl_training.files import write_json, write_text
from mtl_training.markdown import row
from mtl_training.models import open_model
from mtl_training.pictures import save_sheet

GROUND = "road"
SKY = "sky"
BEFORE_SKY = ("road", "car", "building")
"""Classes that are nearer than the sky; one that a label map lacks is left out."""

PICTURES = 6
"""Images on the sheet."""

_LEAST_SHARE = 0.005
"""Of an image's pixels: what is smaller is left out where classes of one image are compared."""

_FLAT = 1e-6
"""Relative deviation of inverse depth below which there is no slope to be found in float32."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """The plane that fits an image's ground best.

    Attributes:
        r2: Share of the variance of inverse depth that it explains; NaN where there is none.
        nearer_below: Whether inverse depth grows downwards on it.
    """

    r2: float
    nearer_below: bool

    @classmethod
    def fit(cls, depth: Floats, where: npt.NDArray[np.bool_]) -> Plane:
        """By least squares over the pixels of a mask.

        Args:
            depth: (H, W) float32, above 0.
            where: (H, W), with 3 pixels or more.
        """
        inverse = 1 / depth[where].astype(np.float64)
        deviation = inverse / inverse.mean() - 1
        places = np.argwhere(where).astype(np.float64)
        places -= places.mean(axis=0)
        slopes = np.linalg.lstsq(places, deviation, rcond=None)[0]
        total, left = (float(np.mean(x**2)) for x in (deviation, deviation - places @ slopes))
        return cls(1 - left / total if total > _FLAT**2 else float("nan"), bool(slopes[0] > 0))


class Plausibility:
    """Gathers predicted depth by true class.

    Args:
        label_map: Of the masks.
        ground: The class that is a plane.

    Raises:
        LabelMapError: The label map has no such class.
    """

    def __init__(self, label_map: LabelMap, ground: str = GROUND) -> None:
        label_map.index(ground)
        self._label_map, self._ground = label_map, ground
        self._depths: dict[str, list[Floats]] = {name: [] for name in label_map.classes}
        self._medians: list[dict[str, float]] = []
        self._planes: list[Plane] = []

    def add(self, depth: Floats, mask: Mask) -> None:
        """One image.

        Args:
            depth: (H, W) float32, metres.
            mask: (H, W) uint8, true ids, 255 = none.
        """
        # Every fourth pixel: of images as large as the network's input, near ones are interpolated.
        depth, mask = depth[::STRIDE, ::STRIDE], mask[::STRIDE, ::STRIDE]
        found = {name: mask == index for index, name in enumerate(self._label_map.classes)}
        for name, where in found.items():
            if where.any():
                self._depths[name].append(depth[where])
        large = {n: where for n, where in found.items() if where.mean() >= _LEAST_SHARE}
        self._medians.append({n: float(np.median(depth[where])) for n, where in large.items()})
        ground = large.get(self._ground)
        if ground is not None and ground.sum() >= 3:
            self._planes.append(Plane.fit(depth, ground))

    def figures(self) -> dict[str, Any]:
        """`images`, `classes`, `ground` and `sky`, NaN for what nothing was measured of.

        `classes`: by class that occurs, `images` and the quartiles of depth over all its pixels.
        `ground`: `images`, quartiles of R^2 over them, share of those `nearer_below`. `sky`: by
        class, and for `all` of an image's together, `images` that have both and the share in which
        the sky's median depth is `farther`.
        """
        slopes = [plane.nearer_below for plane in self._planes]
        r2 = np.array([plane.r2 for plane in self._planes])
        return {
            "images": len(self._medians),
            "classes": {
                name: {"images": len(parts), **_quartiles(np.concatenate(parts))}
                for name, parts in self._depths.items()
                if parts
            },
            "ground": {
                "class": self._ground,
                "images": len(self._planes),
                "r2": _quartiles(r2[np.isfinite(r2)]),
                "nearer_below": _share(slopes),
            },
            "sky": {
                **{name: self._behind([name]) for name in BEFORE_SKY},
                "all": self._behind(BEFORE_SKY),
            },
        }

    def _behind(self, names: Iterable[str]) -> dict[str, Any]:
        """How often the sky is behind all of these that its image has."""
        pairs = [
            (medians[SKY], [medians[name] for name in names if name in medians])
            for medians in self._medians
            if SKY in medians
        ]
        farther = [sky > max(others) for sky, others in pairs if others]
        return {"images": len(farther), "farther": _share(farther)}


def _quartiles(values: npt.NDArray[Any]) -> dict[str, float]:
    found = np.quantile(values, (0.25, 0.5, 0.75)) if values.size else np.full(3, np.nan)
    return dict(zip(("lower", "median", "upper"), found.tolist(), strict=True))


def _share(values: list[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


def plausibility(
    model: Model, source: SampleSource, out: Path, about: Mapping[str, Any], ground: str = GROUND
) -> dict[str, Any]:
    """Predict all images that have true classes and write `plausibility.json`, `.md` and `.png`.

    Args:
        model: Says depth; it is shown the image alone.
        source: With true classes.
        out: Folder of the report.
        about: What the report says of both.
        ground: The class that is a plane.

    Returns:
        What the JSON file holds: `about`, `max_depth_m` and the figures; null for NaN.

    Raises:
        ConfigError: The model says no metric depth.
        DatasetError: The data have no true classes, or a file is damaged.
        LabelMapError: They have no such class.
        OutputError: The report cannot be written.
    """
    indices, label_map = source.labelled("segmentation"), source.label_map
    if label_map is None or not indices:
        raise DatasetError("plausibility of depth: data with true classes expected, got none")
    if model.card.depth is None:
        raise ConfigError(f"{model.card.name}: a model of metric depth expected")
    predictor, farthest = ModelPredictor(model), model.card.depth.max_m
    gathered, rows = Plausibility(label_map, ground), []
    shown = set(np.linspace(0, len(indices) - 1, PICTURES).astype(int).tolist())
    quiet = Console(stderr=True)
    for number, index in enumerate(track(indices, "depth", console=quiet, transient=True)):
        sample = source.sample(index)
        depth = predicted(predictor, sample).depth()
        mask = sample.truth["segmentation"]
        gathered.add(depth, mask)
        if number in shown:
            rows.append(_pictures(sample.image, mask, depth, label_map, farthest))
    plain: dict[str, Any] = json_types({**about, "max_depth_m": farthest, **gathered.figures()})
    write_json(out / "plausibility.json", plain)
    write_text(out / "plausibility.md", markdown(plain))
    titles = ("image", "true classes", f"depth, black: {farthest:g} m")
    save_sheet(rows, titles, out / "plausibility.png", label_map)
    return plain


def _pictures(
    image: Mask, mask: Mask, depth: Floats, label_map: LabelMap, farthest: float
) -> list[Bgr]:
    shown = (image, label_map.colourise(mask))
    return [*(np.ascontiguousarray(one[..., ::-1]) for one in shown), colour_depth(depth, farthest)]


def plausibility_of_file(
    path: Path, data: str, split: str, out: Path, ground: str = GROUND, device: str = "cpu"
) -> dict[str, Any]:
    """What `mtl-train plausibility` does; see `evaluate.evaluate_file` for the arguments."""
    model = open_model(path, device)
    source = open_source(data_config(data, split, model.card))
    about = {"model": model.card.name, "data": data, "split": split}
    return plausibility(model, source, out, about, ground)


def markdown(found: Mapping[str, Any]) -> str:
    """The report as text, of what `plausibility` returns."""
    ground = found["ground"]
    lines = [
        "# Plausibility of depth without truth",
        "",
        f"`{found['model']}` on {found['images']} images with true classes. There is no true "
        "depth: nothing here is an error in metres, and nothing says whether the scale is right. "
        f"The network says {found['max_depth_m']:g} m at most at its canonical focal length.",
        "",
        "| class | images | lower quartile, m | median, m | upper quartile, m |",
        "|---|---|---|---|---|",
        *(row(name, *figures.values()) for name, figures in found["classes"].items()),
        "",
        f"A plane is linear in inverse depth over the image. Of {ground['class']}, by image:",
        "",
        "| images | R^2, lower quartile | median | upper quartile | nearer below, share |",
        "|---|---|---|---|---|",
        row(ground["images"], *ground["r2"].values(), ground["nearer_below"]),
        "",
        "The median depth of the sky is larger than that of",
        "",
        "| class | images with both | share |",
        "|---|---|---|",
        *(row(name, *figures.values()) for name, figures in found["sky"].items()),
        "",
        "![images](plausibility.png)",
        "",
    ]
    return "\n".join(lines)

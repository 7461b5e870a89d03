"""The card of a trained network: what it was trained on, and what that allows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from mtl_core.card import CLASSES, METRIC, ModelCard
from mtl_core.labels import LabelMap
from mtl_training.learning.checkpoint import Trained


class Terms(NamedTuple):
    """A kind of data in words, and on which terms it is had; "" = it is this project's own."""

    name: str
    terms: str = ""


_NYU = "offered for research, without a licence for other use"
TERMS: dict[str, Terms] = {
    "nyuv2": Terms("NYU Depth v2 with in-painted 8-bit depth", _NYU),
    "nyuv2-mat": Terms("NYU Depth v2", _NYU),
    "npy": Terms("pre-processed arrays", "on the terms of the data set that they were made of"),
    "cityscapes": Terms("Cityscapes", "licensed for non-commercial use"),
    "camvid": Terms("CamVid", "offered for research, without a licence for other use"),
    "recording": Terms("recordings", "on their owner's terms"),
    "rooms": Terms("synthetic rooms of this project"),
    "rooms-fixed": Terms("a fixed set of synthetic rooms of this project"),
    "held-out-rooms": Terms("held-out synthetic rooms of this project"),
}
"""By `DataConfig.source`."""

_CODE = "Encoders initialised from EfficientNet-Lite's ImageNet weights (Apache-2.0)."


def card_of(trained: Trained, names: Collection[str]) -> ModelCard:
    """The card of a network, without figures.

    Args:
        trained: The run that made it.
        names: Of its inputs beside the image and of its outputs.
    """
    config = trained.config
    return ModelCard(
        name=config.name,
        role=config.network.role,
        input=config.network.spec,
        label_map=LabelMap.load(config.tasks.label_map) if CLASSES.intersection(names) else None,
        depth=config.tasks.depth if METRIC.keys() & set(names) else None,
        data=tuple(_described(record) for record in _ancestry(trained.record)),
        licence=_licence(trained.record),
        metrics={},
        commit=str(trained.record["commit"]),
    )


def _ancestry(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of a run and of those that it started from, the first one first."""
    start = record.get("start")
    return [*(_ancestry(start) if start else ()), record]


def _described(record: Mapping[str, Any]) -> str:
    config = record["config"]
    schedule = config["schedule"]
    sources = "; ".join(_source(data, record.get("pseudo", {})) for data in config["data"])
    return f"{schedule['steps']} steps of {schedule['batch_size']} images of {sources}"


def _source(data: Mapping[str, Any], pseudo: Mapping[str, Mapping[str, str]]) -> str:
    known = TERMS.get(data["source"], Terms(data["source"]))
    where = " ".join(text for text in (known.name, data["split"], data["classes"]) if text)
    parts = [where]
    if data["frames"]:
        parts.append(f"{data['frames']} frames")
    if data["protocol"]:
        parts.append("with the labels that a protocol leaves")
    if data["pseudo"]:
        parts.append(_teacher(pseudo.get(data["pseudo"])))
    return ", ".join(parts)


def _teacher(recipe: Mapping[str, str] | None) -> str:
    if recipe is None:
        return "with pseudo-labels"
    return f"with pseudo-labels by {recipe['teacher']} (SHA-256 {recipe['sha256']})"


def _licence(record: Mapping[str, Any]) -> str:
    used = dict.fromkeys(_sources(record))
    foreign = {TERMS.get(s, Terms(s, "on terms unknown to this project")) for s in used}
    bound = sorted(f"{terms.name}, {terms.terms}" for terms in foreign if terms.terms)
    if not bound:
        return f"Weights and code: Apache-2.0. {_CODE}"
    return (
        f"Weights: research use only. They were trained on {'; on '.join(bound)}. {_CODE} "
        "The code is Apache-2.0."
    )


def _sources(record: Mapping[str, Any]) -> Iterator[str]:
    for ancestor in _ancestry(record):
        yield from (data["source"] for data in ancestor["config"]["data"])

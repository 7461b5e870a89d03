"""The card of a trained network: what it was trained on, and what that allows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, NamedTuple

from mtl_core.card import CLASSES, FP16, INT8, ModelCard
from mtl_core.labels import LabelMap
from mtl_training.config import DataConfig
from mtl_training.learning.checkpoint import Trained


class Terms(NamedTuple):
    """A kind of data in words, and on which terms it is had; "" = it is this project's own."""

    name: str
    terms: str = ""


TEMPERATURE = "temperature_"
"""Beginning of the names under which a card's metrics have what uncertainties were scaled with."""

SIBLING = "sibling_"
"""Beginning of the names of figures of another network, made in the same way of less data."""

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
_FREE = f"Weights and code: Apache-2.0. {_CODE}"
_BOUND = "Weights: research use only. They were trained on "
_AND = "; on "
_END = f". {_CODE} The code is Apache-2.0."


def card_of(trained: Trained, names: Collection[str], power: Mapping[str, int]) -> ModelCard:
    """The card of a network, without figures.

    Args:
        trained: The run that made it.
        names: Of its inputs beside the image and of its outputs.
        power: See `ModelCard.power`; empty for a network to which no depth matters.
    """
    config = trained.config
    return ModelCard(
        name=config.name,
        role=config.network.role,
        input=config.network.spec,
        label_map=LabelMap.load(config.tasks.label_map) if CLASSES.intersection(names) else None,
        depth=config.tasks.depth if power else None,
        power=power,
        data=_history(trained.record),
        licence=_licence(trained.record),
        metrics={},
        commit=str(trained.record["commit"]),
    )


def card_in_int8(
    card: ModelCard, sha256: str, data: DataConfig, images: int, seed: int
) -> ModelCard:
    """The card of a network's int8 variant, without figures.

    Args:
        card: Of the network in float32.
        sha256: Of its file.
        data: Where the images that it was calibrated with are from.
        images: How many they were.
        seed: Of their choice.
    """
    known = TERMS.get(data.source, Terms(data.source))
    where = " ".join(text for text in (known.name, data.split) if text)
    note = (
        f"int8 of {card.name} (SHA-256 {sha256}): activations u8, in the ranges that {images} "
        f"images have (of {where}; seed {seed}), weights s8 per channel, ends of the heads float"
    )
    return _twin(card, INT8, note)


def card_in_float16(card: ModelCard, sha256: str) -> ModelCard:
    """The card of a network's float16 variant, without figures.

    Args:
        card: Of the network in float32.
        sha256: Of its file.
    """
    return _twin(card, FP16, f"float16 of {card.name} (SHA-256 {sha256})")


def _twin(card: ModelCard, ending: str, note: str) -> ModelCard:
    """The card of the same network in other numbers; its temperatures are in the graph."""
    baked_in = as_metrics(temperatures_in(card))
    data = (*card.data, note)
    return replace(card, name=f"{card.name}{ending}", data=data, metrics=baked_in, sibling="")


def with_sibling(card: ModelCard, other: ModelCard, sha256: str) -> ModelCard:
    """A card with the figures of another network, made in the same way of less data.

    Args:
        card: Of a network that has learned from all data, so that none are left to measure it on.
        other: Of one that was not trained on what it was measured on.
        sha256: Of its file.
    """
    figures = {
        f"{SIBLING}{name}": value
        for name, value in other.metrics.items()
        if not name.startswith((TEMPERATURE, SIBLING))
    }
    which = f"SHA-256 {sha256}, trained {_other_way(other.data, card.data)}"
    return replace(card, metrics={**card.metrics, **figures}, sibling=which)


def _other_way(data: Sequence[str], than: Sequence[str]) -> str:
    """How a network was trained, by where its parts leave those of another one."""
    if data == than:
        return "alike"
    pairs = zip(data, than, strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if alike == len(data):
        return f"by the first {alike} of these alone"
    return f"by {' and '.join(data[alike:])}, else alike"


def temperatures_in(card: ModelCard) -> dict[str, float]:
    """What a card's uncertainties were scaled with, by task."""
    return {
        name.removeprefix(TEMPERATURE): value
        for name, value in card.metrics.items()
        if name.startswith(TEMPERATURE)
    }


def as_metrics(temperatures: Mapping[str, float]) -> dict[str, float]:
    """Those, as a card's metrics have them."""
    return {f"{TEMPERATURE}{task}": value for task, value in temperatures.items()}


def ancestry(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of a run and of those that it started from, the first one first."""
    start = record.get("start")
    return [*(ancestry(start) if start else ()), record]


def _history(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What each run that led to a network learned from; a teacher's own data are told once."""
    told: set[str] = set()
    return tuple(_described(ancestor, told) for ancestor in ancestry(record))


def _described(record: Mapping[str, Any], told: set[str]) -> str:
    config = record["config"]
    schedule = config["schedule"]
    sources = "; ".join(_source(data, record.get("pseudo", {}), told) for data in config["data"])
    return f"{schedule['steps']} steps of {schedule['batch_size']} images of {sources}"


def _source(
    data: Mapping[str, Any], pseudo: Mapping[str, Mapping[str, Any]], told: set[str]
) -> str:
    known = TERMS.get(data["source"], Terms(data["source"]))
    where = " ".join(text for text in (known.name, data["split"], data["classes"]) if text)
    parts = [where]
    if data["frames"]:
        parts.append(f"{data['frames']} frames")
    if data["protocol"]:
        parts.append("with the labels that a protocol leaves")
    if data["pseudo"]:
        parts.append(_teacher(pseudo.get(data["pseudo"]), told))
    return ", ".join(parts)


def _teacher(recipe: Mapping[str, Any] | None, told: set[str]) -> str:
    """Which one; with what it learned from, unless that is told already."""
    if recipe is None:
        return "with pseudo-labels"
    data = "" if recipe["sha256"] in told else " and ".join(recipe.get("data", ()))
    told.add(recipe["sha256"])
    learned = f", trained by {data}" if data else ""
    return f"with pseudo-labels by {recipe['teacher']} (SHA-256 {recipe['sha256']}{learned})"


def _licence(record: Mapping[str, Any]) -> str:
    bound = sorted({terms for ancestor in ancestry(record) for terms in _terms(ancestor)})
    return f"{_BOUND}{_AND.join(bound)}{_END}" if bound else _FREE


def _terms(record: Mapping[str, Any]) -> set[str]:
    """Whatever is not this project's own among the data of a run, and of its teachers."""
    sources = {data["source"] for data in record["config"]["data"]}
    used = {TERMS.get(s, Terms(s, "on terms unknown to this project")) for s in sources}
    taught = (_terms_of_teacher(recipe) for recipe in record.get("pseudo", {}).values())
    return {f"{one.name}, {one.terms}" for one in used if one.terms}.union(*taught)


def _terms_of_teacher(recipe: Mapping[str, Any]) -> set[str]:
    """What its pseudo-labels hand on; in full where the words are not those of `_licence`."""
    licence = recipe.get("licence", "")
    if licence == _FREE:
        return set()
    if licence.startswith(_BOUND) and licence.endswith(_END):
        return set(licence.removeprefix(_BOUND).removesuffix(_END).split(_AND))
    return {f"pseudo-labels by {recipe['teacher']}, on the terms: {licence or 'unknown'}"}

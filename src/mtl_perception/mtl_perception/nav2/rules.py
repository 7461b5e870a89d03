"""The seven rules of the semantic layer: 1 to 5 on its topics, 6 and 7 in the costmap's parameters.

Each is what the layer's code does with what it gets; docs/nav2.md says what goes wrong otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mtl_bags.clouds import organised
from mtl_bags.compose import NANOSECONDS, stamp_ns
from mtl_core.errors import CloudError
from mtl_core.labels import UNLABELLED
from mtl_perception.nav2.costs import LARGEST_COST, LARGEST_MARK
from mtl_perception.nav2.heard import Frame, Heard
from mtl_perception.nav2.parameter_file import Layer, Source, is_time, listed
from mtl_perception.nav2.verdict import Verdict, judged, skipped

LATCHED = ("reliable", "transient_local")

FLOAT32 = 7
"""Of `sensor_msgs/PointField`."""

TOPIC, NAMES = "a topic's name", "a list of names"

NEEDED = {
    "segmentation_topic": TOPIC,
    "labels_topic": TOPIC,
    "pointcloud_topic": TOPIC,
    "class_types": NAMES,
}
"""What a source cannot do without; without a confidence, all are taken for certain."""

KINDS: Mapping[str, type] = {TOPIC: str, NAMES: list}

HeardBySource = Mapping[str, Heard]
"""What arrives for each source, by `Source.where`."""

NOTHING: HeardBySource = {}

_NONE = "no mask and points of one stamp"


def arrival(heard: Heard) -> Verdict:
    """Whether there is anything to look at."""
    confidences = "" if heard.confidences is None else f"{len(heard.confidences)} confidences, "
    kept = f"{len(heard.masks)} masks, {confidences}{len(heard.points)} clouds"
    return judged("topics", heard.silent, kept)


# ---- on the topics -----------------------------------------------------------------------------
def sizes(heard: Heard) -> Verdict:
    """Rule 1: the layer drops what differs."""
    if not heard.samples:
        return skipped("rule 1", "a topic is silent")
    faults = (
        f"{name} of {_size(other)}, expected the mask's {_size(frame.mask)}"
        for frame in heard.samples
        for name, other in {"points": frame.points, "confidence": frame.confidence}.items()
        if other is not None and _size(other) != _size(frame.mask)
    )
    return judged("rule 1", faults, _size(heard.samples[-1].mask))


def packing(heard: Heard) -> Verdict:
    """Rule 2: the layer reads byte after byte, whatever encoding and step say."""
    if not heard.samples:
        return skipped("rule 2", "a topic is silent")
    faults = (
        f"{name} of {_size(image)} has step {image.step} and {len(image.data)} bytes, "
        f"expected {image.width} and {image.width * image.height}"
        for frame in heard.samples
        for name, image in _images(frame)
        if image.step != image.width or len(image.data) != image.width * image.height
    )
    mask = heard.samples[-1].mask
    return judged("rule 2", faults, f"step {mask.step}, {len(mask.data)} bytes")


def stamps(heard: Heard) -> Verdict:
    """Rule 3: on Humble, and as our parameters ask, what has another stamp does not belong.

    A message may be lost on its way, so that not all need have their fellows; half of them do.
    """
    if not heard.samples:
        return skipped("rule 3", "a topic is silent")
    kept = f"{len(heard.frames)} of {len(heard.masks)} masks found their fellows"
    if 2 * len(heard.frames) >= heard.fewest:
        return judged("rule 3", (), kept)
    others = {"points": heard.points, "confidence": heard.confidences}
    gaps = (
        f"{name} comes no nearer to a mask's stamp than {_gap_ms(heard.masks, messages):.3f} ms"
        for name, messages in others.items()
        if messages and _gap_ms(heard.masks, messages)
    )
    faults = [*gaps] or [kept]
    return judged("rule 3", [f"{'; '.join(faults)}; expected the same stamp"], "")


def labels(heard: Heard, sources: Sequence[Source]) -> Verdict:
    """Rule 4: each label_info makes the layer's table anew, without classes that have no costs.

    Args:
        heard: What arrives.
        sources: All that read it.
    """
    if heard.labels.infos is None:
        return skipped("rule 4", "vision_msgs is not installed here")
    infos = heard.labels.infos
    kept = f"1 message, {len(infos[0].class_map) if infos else 0} classes"
    return judged("rule 4", [*_offers(heard), *_without_costs(heard, sources)], kept)


def _offers(heard: Heard) -> Iterator[str]:
    offered, infos = heard.labels.offered, heard.labels.infos
    if len(offered) != 1:
        yield f"{len(offered)} publishers, expected 1"
    for offer in offered:
        if offer != LATCHED:
            yield f"published {' and '.join(offer)}, expected {' and '.join(LATCHED)}"
    if len(infos or ()) != 1:
        yield f"{len(infos or ())} messages arrived, expected 1"


def _without_costs(heard: Heard, sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        costs = source.classes()
        if missing := [name for name in _named(heard).values() if name not in costs]:
            yield f"no costs in {source.where} for {', '.join(missing)}, expected each class's"


def unlabelled(heard: Heard) -> Verdict:
    """Rule 5: the layer looks at z alone, and what it finds there may win a cell."""
    checked = [frame for frame in heard.frames if _fits(frame)]
    if not checked:
        return skipped("rule 5", _NONE if not heard.frames else "sizes, packing or fields differ")
    counts = np.sum([_unlabelled_counts(frame) for frame in checked], axis=0)
    none, sure, placed = (int(count) for count in counts)
    faults = (
        f"{count} of {none} pixels of mask {UNLABELLED} have {what}"
        for count, what in (
            (sure, "a confidence above 0, expected 0"),
            (placed, "finite x, y or z, expected NaN"),
        )
        if count
    )
    return judged("rule 5", faults, f"{none} unlabelled pixels in {len(checked)} frames")


def _unlabelled_counts(frame: Frame) -> tuple[int, int, int]:
    """Unlabelled pixels; those of them with a confidence; those with a point."""
    none = _pixels(frame.mask) == UNLABELLED
    sure = none & (_pixels(frame.confidence) > 0) if frame.confidence is not None else ~none & none
    cloud = organised(frame.points)
    placed = none & np.logical_or.reduce([np.isfinite(cloud[axis]) for axis in "xyz"])
    return tuple(int(np.count_nonzero(part)) for part in (none, sure, placed))  # type: ignore[return-value]


# ---- in the parameters -------------------------------------------------------------------------
def costs(layer: Layer, heard: HeardBySource = NOTHING) -> Verdict:
    """Rule 6: max_cost needs enough samples, of a mean confidence strictly above the mark.

    Args:
        layer: Of a costmap.
        heard: What arrives; empty if nobody listened.
    """
    sources = layer.sources()
    rates = {one.where: heard[one.where].hz if one.where in heard else 0.0 for one in sources}
    faults = (fault for one in sources for fault in _source_costs(one, rates[one.where]))
    count = sum(len(one.groups()) for one in sources)
    said = ", ".join(f"{hz:.1f} Hz" for hz in rates.values() if hz)
    return judged("rule 6", faults, f"{count} groups{said and ' at '}{said}")


def _source_costs(source: Source, hz: float) -> Iterator[str]:
    if not is_time(source.decay()):
        yield (
            f"{source.where}: tile_map_decay_time is {source.decay()!r}, "
            "expected a number of seconds above 0"
        )
    for name, group in source.groups().items():
        if isinstance(group, Mapping):
            for fault in _costs(group, source.decay_s(), hz):
                yield f"{source.where}.{name}: {fault}"


def _costs(group: Mapping[str, Any], decay: float, hz: float) -> Iterator[str]:
    limits = {"base_cost": LARGEST_COST, "max_cost": LARGEST_COST, "mark_confidence": LARGEST_MARK}
    for name, largest in limits.items():
        value = group.get(name, 0)
        if type(value) is not int or not 0 <= value <= largest:
            yield f"{name} is {value!r}, expected a whole number from 0 to {largest}"
    samples = group.get("samples_to_max_cost", 0)
    if type(samples) is not int or samples < 0:
        yield f"samples_to_max_cost is {samples!r}, expected a whole number from 0"
    elif hz and samples > decay * hz:
        yield (
            f"samples_to_max_cost is {samples}, expected at most the {int(decay * hz)} frames "
            f"that come at {hz:.1f} Hz in tile_map_decay_time, {decay} s"
        )


def structure(layer: Layer, heard: HeardBySource = NOTHING) -> Verdict:
    """Rule 7: the sources are one string, and what they name is there; time is the images'.

    Args:
        layer: Of a costmap.
        heard: What arrives; empty if nobody listened.
    """
    clocks = [
        fault
        for source in layer.sources()
        if source.where in heard
        for fault in _clock_faults(layer, source, heard[source.where])
    ]
    value = layer.parameters.get("observation_sources")
    said = f"{value!r}, use_sim_time {str(layer.use_sim_time).lower()}"
    return judged("rule 7", [*_string_fault(layer), *_missing(layer), *clocks], said)


def _string_fault(layer: Layer) -> Iterator[str]:
    value = layer.parameters.get("observation_sources")
    if not isinstance(value, str) or not value.split():
        yield (
            f"{layer.where}.observation_sources is {value!r}, "
            "expected one string of names with spaces between"
        )


def _missing(layer: Layer) -> Iterator[str]:
    for source in layer.sources():
        lacking = [name for name in NEEDED if not source.parameters.get(name)]
        lacking += [name for name, group in source.groups().items() if not _has_classes(group)]
        if lacking:
            yield f"{source.where} has no {', '.join(lacking)}, expected them"
        for name, kind in NEEDED.items():
            if (value := source.parameters.get(name)) and not isinstance(value, KINDS[kind]):
                yield f"{source.where}.{name} is {value!r}, expected {kind}"


def _has_classes(group: Any) -> bool:
    return isinstance(group, Mapping) and bool(listed(group.get("classes")))


def _clock_faults(layer: Layer, source: Source, heard: Heard) -> Iterator[str]:
    if layer.use_sim_time and not heard.clocks:
        yield f"{layer.where}: use_sim_time is true but nobody publishes /clock, expected --clock"
    if layer.use_sim_time or not heard.masks:
        return
    if abs(heard.age_s) > source.decay_s():
        yield (
            f"{source.where}: masks are {heard.age_s:.1f} s old by the system's clock, so that "
            f"they decay at once (tile_map_decay_time {source.decay_s()} s); "
            "expected use_sim_time true and a player with --clock"
        )


# ---- besides -----------------------------------------------------------------------------------
def encoding(heard: Heard) -> Verdict:
    """What other readers than the layer go by."""
    if not heard.samples:
        return skipped("encoding", "a topic is silent")
    faults = [
        f"{name} is {image.encoding!r}, expected 'mono8'"
        for frame in heard.samples
        for name, image in _images(frame)
        if image.encoding != "mono8"
    ]
    faults += [fault for frame in heard.samples for fault in _cloud_faults(frame.points)]
    return judged("encoding", faults, heard.samples[-1].mask.encoding)


def _cloud_faults(message: Any) -> Iterator[str]:
    """The layer takes x, y and z for float32, whatever their fields say."""
    try:
        organised(message)
    except CloudError as err:
        yield str(err)
        return
    kinds = {
        field.name: field.datatype for field in message.fields if field.name in ("x", "y", "z")
    }
    if set(kinds.values()) != {FLOAT32}:
        yield f"points have x, y and z of datatypes {kinds}, expected {FLOAT32} (FLOAT32)"


def classes(heard: Heard, sources: Sequence[Source]) -> Verdict:
    """Whether every id in masks is named, and every class with costs exists."""
    if not heard.labels.infos:
        why = "no label_info" if heard.labels.infos == [] else "vision_msgs is not installed here"
        return skipped("classes", why)
    named, seen = _named(heard), _ids(heard) - {UNLABELLED}
    faults = []
    if unknown := sorted(seen - set(named)):
        faults.append(f"masks hold ids {unknown}, expected those of label_info, {sorted(named)}")
    strange = {one.where: sorted(one.classes() - set(named.values())) for one in sources}
    faults += [
        f"{where} has costs for {', '.join(names)}, expected classes of label_info: "
        f"{', '.join(named.values())}"
        for where, names in strange.items()
        if names
    ]
    return judged("classes", faults, f"{len(seen)} of {len(named)} seen in masks")


def on_topics(heard: Heard, sources: Sequence[Source]) -> list[Verdict]:
    """All that is told by what arrives for sources of the same topics."""
    return [
        arrival(heard),
        sizes(heard),
        packing(heard),
        stamps(heard),
        labels(heard, sources),
        unlabelled(heard),
        encoding(heard),
        classes(heard, sources),
    ]


def in_parameters(layer: Layer, heard: HeardBySource = NOTHING) -> list[Verdict]:
    """All that is told by a layer's parameters, beside what arrives if somebody listened."""
    return [costs(layer, heard), structure(layer, heard)]


def _named(heard: Heard) -> dict[int, str]:
    infos = heard.labels.infos or ()
    return {one.class_id: one.class_name for one in infos[-1].class_map} if infos else {}


def _ids(heard: Heard) -> set[int]:
    whole = [mask for mask in heard.masks if len(mask.data) == mask.width * mask.height]
    return {int(number) for mask in whole for number in np.unique(_pixels(mask))}


def _images(frame: Frame) -> list[tuple[str, Any]]:
    images = {"mask": frame.mask, "confidence": frame.confidence}
    return [(name, image) for name, image in images.items() if image is not None]


def _size(message: Any) -> str:
    return f"{message.width}x{message.height}"


def _fits(frame: Frame) -> bool:
    """Whether pixels can be compared at all."""
    expected = frame.mask.width * frame.mask.height
    packed = all(len(image.data) == expected for _, image in _images(frame))
    return (
        packed and _size(frame.mask) == _size(frame.points) and not [*_cloud_faults(frame.points)]
    )


def _pixels(image: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)


def _gap_ms(masks: Any, others: Any) -> float:
    """The smallest difference between stamps."""
    first = np.array([stamp_ns(one.header) for one in masks])
    second = np.array([stamp_ns(one.header) for one in others])
    return float(np.abs(first[:, None] - second).min()) * 1000 / NANOSECONDS

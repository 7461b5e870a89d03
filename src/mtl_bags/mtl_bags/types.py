"""Message types: those of ROS 2, those that recordings bring along, and how they are described."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from rosbags.interfaces import Qos
from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mtl_bags.errors import BagError
from mtl_bags.records import Description, Record

LABEL_INFO = "vision_msgs/msg/LabelInfo"

_VISION_CLASS = "uint16 class_id\nstring class_name\n"
_LABEL_INFO = """std_msgs/Header header
vision_msgs/VisionClass[] class_map
float32 threshold
"""

_IDL_RULE = "=" * 80 + "\n"


@cache
def standard_types() -> Typestore:
    """The types of ROS 2's newest distribution."""
    return get_typestore(Stores.LATEST)


@cache
def project_types() -> Typestore:
    """Those, and `vision_msgs`' label info, which does not come with every ROS 2."""
    store = get_typestore(Stores.LATEST)
    fields = get_types_from_msg(_VISION_CLASS, "vision_msgs/msg/VisionClass")
    fields.update(get_types_from_msg(_LABEL_INFO, LABEL_INFO))
    store.register(fields)
    return store


def deserialize(record: Record) -> Any:
    """Return the message in a record, of a type of ROS 2 or a label info.

    Raises:
        BagError: The bytes do not fit the type, or the type is not known.
    """
    try:
        return project_types().deserialize_cdr(memoryview(record.data), record.msgtype)
    except Exception as err:  # the library raises whatever it stumbles over
        raise BagError(
            f"{record.topic}: cannot read a {record.msgtype}: {type(err).__name__}: {err}"
        ) from err


def typestore_of(definitions: Iterable[tuple[str, str]]) -> Typestore:
    """The types that these (type, definition) speak of; ROS 2's own for those without one.

    Raises:
        TypesysError: A definition cannot be read.
    """
    given = dict(definitions)
    if not any(given.values()):
        return standard_types()
    fields: Typesdict = {} if all(given.values()) else dict(standard_types().fielddefs)
    for msgtype, text in given.items():
        fields.update(_parsed(msgtype, text) if text else {})
    store = get_typestore(Stores.EMPTY)
    store.register(fields)
    return store


def _parsed(msgtype: str, text: str) -> Typesdict:
    if not text.startswith(_IDL_RULE):
        return get_types_from_msg(text, msgtype)
    fields: Typesdict = {}
    for part in text.split(_IDL_RULE)[1:]:
        fields.update(get_types_from_idl(part.partition("\n")[2]))
    return fields


def _hash_of_nothing(msgtype: str) -> str:
    """Of a type whose definition nobody knows: as readers compute it from an empty one."""
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg("", msgtype))
    return store.hash_rihs01(msgtype)


def described(
    msgtype: str,
    store: Typestore,
    definition: str = "",
    type_hash: str = "",
    qos: Iterable[Qos] = (),
) -> Description:
    """A type's description: what is given, completed by what a store knows of it."""
    if msgtype not in store.fielddefs:
        return Description(definition, type_hash or _hash_of_nothing(msgtype), tuple(qos))
    text = definition or store.generate_msgdef(msgtype, ros_version=2)[0]
    return Description(text, type_hash or store.hash_rihs01(msgtype), tuple(qos))

"""Label maps: what ships is right, what contradicts itself is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mtl_core.errors import LabelMapError
from mtl_core.labels import UNLABELLED, LabelMap

COUNTS = {
    "nyu13": 13,
    "nyu40": 40,
    "cityscapes19": 19,
    "cityscapes7": 7,
    "camvid11": 11,
    "nyu13_camvid11": 24,
}


def test_the_shipped_maps_are_the_five_of_the_field_and_a_joined_one():
    assert {name: len(LabelMap.load(name)) for name in LabelMap.available()} == COUNTS


@pytest.mark.parametrize("name", COUNTS)
def test_every_class_has_its_own_colour_and_none_is_the_unlabelled_black(name):
    colours = LabelMap.load(name).colours
    assert len(set(colours)) == len(colours)
    assert (0, 0, 0) not in colours


def test_nyu13_is_in_the_order_of_the_data_set():
    label_map = LabelMap.load("nyu13")
    assert label_map.index("bed") == 0
    assert label_map.index("floor") == 4
    assert label_map.classes == tuple(sorted(label_map.classes))


def test_an_unknown_map_names_the_known_ones():
    with pytest.raises(LabelMapError, match=r"nyu14.*camvid11, cityscapes19"):
        LabelMap.load("nyu14")


def test_an_unknown_class_names_the_known_ones():
    with pytest.raises(LabelMapError, match=r"'road'.*bed, books"):
        LabelMap.load("nyu13").index("road")


@pytest.mark.parametrize(
    ("classes", "colours", "message"),
    [
        (("a", "b"), ((1, 2, 3),), "2 names but 1 colours"),
        ((), (), "1 to 254 classes expected, got 0"),
        (("a", "a"), ((1, 2, 3), (4, 5, 6)), "repeat: a"),
        (("a",), ((1, 2, 256),), r"0..255, got \(1, 2, 256\)"),
        (("a",), ((1, 2),), r"three integers"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(classes, colours, message):
    with pytest.raises(LabelMapError, match=message):
        LabelMap("m", classes, colours)


@pytest.mark.parametrize("name", COUNTS)
def test_a_map_survives_its_dictionary(name):
    label_map = LabelMap.load(name)
    assert LabelMap.from_dict(label_map.to_dict()) == label_map


@pytest.mark.parametrize(
    "fields",
    [
        {},
        "nyu13",
        {"name": "m", "classes": 3, "colours": []},
        {"name": "m", "classes": ["a"], "colours": [[1, 2, 3]], "void": 0},
    ],
)
def test_a_dictionary_that_is_no_map_is_refused(fields):
    with pytest.raises(LabelMapError, match="not a label map"):
        LabelMap.from_dict(fields)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2)), st.sampled_from(list(COUNTS))
)
def test_a_pixel_gets_the_colour_of_its_class_and_black_without_one(mask, name):
    label_map = LabelMap.load(name)
    painted = label_map.colourise(mask)
    for index in np.ndindex(mask.shape):
        class_id = int(mask[index])
        expected = label_map.colours[class_id] if class_id < len(label_map) else (0, 0, 0)
        assert tuple(painted[index]) == expected


def test_the_joined_map_keeps_the_ids_of_nyu13_and_all_names_and_colours():
    joined, *parts = (LabelMap.load(n) for n in ("nyu13_camvid11", "nyu13", "camvid11"))
    assert joined.classes[:13] == parts[0].classes
    for part in parts:
        for name, colour in zip(part.classes, part.colours, strict=True):
            assert joined.colours[joined.index(name)] == colour


def test_a_name_that_two_maps_share_is_one_class_with_the_first_ones_id_and_colour():
    one = LabelMap("one", ("a", "b"), ((1, 1, 1), (2, 2, 2)))
    other = LabelMap("other", ("c", "a"), ((3, 3, 3), (4, 4, 4)))
    joined = LabelMap.joined("both", [one, other])
    assert (joined.name, joined.classes) == ("both", ("a", "b", "c"))
    assert joined.colours == ((1, 1, 1), (2, 2, 2), (3, 3, 3))


def test_two_classes_of_one_colour_are_not_joined():
    one = LabelMap("one", ("a", "b"), ((1, 1, 1), (2, 2, 2)))
    other = LabelMap("other", ("c",), ((2, 2, 2),))
    with pytest.raises(LabelMapError, match=r"both: b and c have one colour, \(2, 2, 2\)"):
        LabelMap.joined("both", [one, other])


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


def of_names(name, names):
    return LabelMap(name, tuple(names), tuple((i, i, i) for i in range(len(names))))


@given(own=NAMES, other=NAMES, pixel=st.integers(0, 255))
def test_a_translated_pixel_has_the_class_of_the_same_name_or_none_as_before(own, other, pixel):
    one, wanted = of_names("one", own), of_names("wanted", other)
    if lacking := set(own) - set(other):
        with pytest.raises(LabelMapError, match=f"wanted lacks .*{min(lacking)}.* of one"):
            one.translation(wanted)
        return
    translated = int(one.translation(wanted)[pixel])
    if pixel < len(one):
        assert wanted.classes[translated] == one.classes[pixel]
    else:
        assert translated == UNLABELLED


def test_unlabelled_can_never_be_a_class():
    names = tuple(str(i) for i in range(UNLABELLED))
    with pytest.raises(LabelMapError, match="got 255"):
        LabelMap("m", names, ((1, 1, 1),) * UNLABELLED)

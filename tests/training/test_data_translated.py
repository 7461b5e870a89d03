"""Labels in other classes: each keeps its name, whatever else a sample has stays as it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.labels import UNLABELLED, LabelMap
from mtl_training.data.sample import PseudoLabel, Sample
from mtl_training.data.translated import in_classes
from pseudo_teacher import Listed

CAMVID, NYU13, JOINED = (LabelMap.load(n) for n in ("camvid11", "nyu13", "nyu13_camvid11"))


def source_of(label_map, seed=0):
    """One image with true depth and pseudo-labels of depth and classes."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, len(label_map) + 1, (8, 12))
    truth = {
        "segmentation": np.where(ids == len(label_map), UNLABELLED, ids).astype(np.uint8),
        "depth": rng.random((8, 12), np.float32),
    }
    confidence = rng.random((2, 3), np.float32)
    pseudo = {
        "segmentation": PseudoLabel(rng.random((2, 3, len(label_map)), np.float32), confidence),
        "depth": PseudoLabel(rng.random((2, 3, 1), np.float32), confidence),
    }
    image = rng.integers(0, 256, (8, 12, 3), np.uint8)
    source = Listed([Sample("a", image, truth, None, pseudo)])
    source.label_map = label_map
    return source


@given(label_map=st.sampled_from([CAMVID, NYU13]), seed=st.integers(0, 99))
def test_every_label_keeps_its_name(label_map, seed):
    source = source_of(label_map, seed)
    one, other = source.sample(0), in_classes(source, JOINED).sample(0)
    for was, now in zip(
        one.truth["segmentation"].flat, other.truth["segmentation"].flat, strict=True
    ):
        none = was == UNLABELLED
        assert now == UNLABELLED if none else JOINED.classes[now] == label_map.classes[was]
    values, translated = (s.pseudo["segmentation"].value for s in (one, other))
    for index, name in enumerate(JOINED.classes):
        known = name in label_map.classes
        expected = values[..., label_map.index(name)] if known else 0
        np.testing.assert_array_equal(translated[..., index], expected)


def test_what_has_no_classes_stays_as_it_is():
    source = source_of(CAMVID)
    one, other = source.sample(0), in_classes(source, JOINED).sample(0)
    assert other.truth["depth"] is one.truth["depth"]
    assert other.pseudo["depth"] is one.pseudo["depth"]
    assert other.image is one.image


def test_a_source_that_has_these_classes_or_none_is_left_alone():
    source = source_of(NYU13)
    assert in_classes(source, LabelMap("renamed", NYU13.classes, NYU13.colours)) is source
    source.label_map = None
    assert in_classes(source, JOINED) is source

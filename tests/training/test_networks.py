"""The networks, and the leak rule that the teacher keeps by construction."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mtl_training.config import NetworkConfig
from mtl_training.errors import ConfigError
from mtl_training.network import build_network
from mtl_training.networks.efficientnet_lite import VARIANTS, EfficientNetLite
from mtl_training.networks.fpn import Scene
from mtl_training.tasks.registry import build_tasks


def parameters(network):
    return sum(p.numel() for p in network.parameters())


THREE = ("segmentation", "depth", "normals")
SIGNALS = {
    "depth": torch.rand(2, 1, 64, 96) + 1,
    "labels": torch.randint(0, 13, (2, 1, 64, 96), dtype=torch.uint8),
    "normals": torch.nn.functional.normalize(torch.randn(2, 3, 64, 96), dim=1),
}


def build(config, **tasks):
    """A network in evaluation mode whose every layer lets something through."""
    torch.manual_seed(0)
    config = replace(config, tasks=replace(config.tasks, **tasks))
    network = build_network(config, build_tasks(config.tasks))
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = 1.0
    network.train()(torch.randn(4, 3, 64, 96), {k: torch.cat([v, v]) for k, v in SIGNALS.items()})
    return network.eval()


@pytest.fixture
def teacher(teacher_config):
    """Of three tasks, each of which is also an input."""
    network = NetworkConfig("teacher", 64, 96, THREE)
    return build(replace(teacher_config, network=network), names=THREE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_encoder_gives_strides_4_8_16_32_with_the_pretrained_weights(variant):
    encoder = EfficientNetLite(variant).eval()
    encoder.load_imagenet()
    features = encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, (4, 8, 16, 32), strict=True)
    ]


def test_a_stem_of_other_planes_answers_like_that_of_a_grey_image():
    grey, rgb = EfficientNetLite(planes=5), EfficientNetLite()
    grey.load_imagenet()
    rgb.load_imagenet()
    image = torch.rand(1, 1, 64, 96)
    ours, theirs = (e.eval()(image.repeat(1, n, 1, 1)) for e, n in ((grey, 5), (rgb, 3)))
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-3, atol=1e-4)


def test_the_networks_have_the_sizes_that_their_design_says(config, teacher_config):
    student = parameters(build(config))
    teacher = parameters(build(teacher_config))
    control = replace(teacher_config, network=NetworkConfig("teacher", 64, 96, ("image",)))
    assert 2.9e6 < student < 3.1e6
    assert 7.5e6 < teacher < 8.5e6
    assert parameters(build(control)) == pytest.approx(teacher, rel=0.001)


MAY_CHANGE = {
    "depth": {"segmentation"},
    "normals": {"segmentation"},
    "labels": {"depth", "normals"},
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_reaches_no_prediction_of_its_own_origin(teacher, signal):
    """Depth reaches neither depth nor normals, which come from depth; to the last bit."""
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        without = teacher(image, {k: v for k, v in SIGNALS.items() if k != signal})
        given = teacher(image, SIGNALS)
    changed = {task for task in without if not torch.equal(without[task], given[task])}
    assert changed == MAY_CHANGE[signal]


def test_no_gradient_flows_from_a_prediction_to_its_own_signal(teacher):
    depth = SIGNALS["depth"].clone().requires_grad_()
    raw = teacher(torch.randn(2, 3, 64, 96), {**SIGNALS, "depth": depth})
    (raw["depth"].sum() + raw["normals"].sum()).backward(retain_graph=True)
    assert depth.grad is None or not depth.grad.any()
    raw["segmentation"].sum().backward()
    assert depth.grad.any()


def test_a_missing_signal_is_an_empty_one(teacher):
    image = torch.randn(2, 3, 64, 96)
    empty = {name: encoder.empty(2, 64, 96) for name, encoder in teacher.signals.items()}
    with torch.no_grad():
        for task, raw in teacher(image, empty).items():
            assert torch.equal(raw, teacher(image)[task])


def test_a_signal_of_one_image_leaves_the_others_of_its_batch_alone(teacher):
    image = torch.randn(2, 3, 64, 96)
    half = {name: encoder.empty(2, 64, 96) for name, encoder in teacher.signals.items()}
    half["depth"][0] = SIGNALS["depth"][0]
    with torch.no_grad():
        torch.testing.assert_close(teacher(image, half)["depth"][1], teacher(image)["depth"][1])


def test_a_teacher_starts_as_the_network_of_the_image_alone(teacher_config):
    network = build_network(teacher_config, build_tasks(teacher_config.tasks)).eval()
    image = torch.randn(2, 3, 64, 96)
    signals = {name: SIGNALS[name] for name in ("depth", "labels")}
    with torch.no_grad():
        for task, raw in network(image, signals).items():
            torch.testing.assert_close(raw, network(image)[task])


def test_inputs_that_do_not_go_together_are_refused(config, teacher_config):
    def built(*inputs):
        network = NetworkConfig("teacher", 64, 96, inputs)
        return build_network(replace(teacher_config, network=network), [])

    with pytest.raises(ConfigError, match="image is the control and stands alone"):
        built("image", "depth")
    with pytest.raises(ConfigError, match=r"unknown tasks \['sonar'\], known: segmentation"):
        built("sonar")
    with pytest.raises(ConfigError, match="task inverse_depth cannot be an input"):
        built("inverse_depth")
    with pytest.raises(ConfigError, match="inputs: for a teacher, and only for one"):
        replace(config.network, inputs=("depth",))


def test_each_place_is_told_of_the_whole_image_and_at_first_of_nothing():
    torch.manual_seed(0)
    scene, x = Scene(8), torch.rand(2, 8, 5, 7)
    torch.testing.assert_close(scene(x), x)
    torch.nn.init.normal_(scene.spread.weight)
    changed = x.clone()
    changed[0, :, 4, 6] += 1.0
    told = scene(changed) - scene(x) - (changed - x)
    assert (told[0].std((1, 2)) < 1e-5).all(), "all places are told the same"
    assert (told[0].abs().amax((1, 2)) > 0).any()
    assert not told[1].any(), "and only those of that image"

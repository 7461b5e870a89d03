"""Losses: what is unlabelled weighs nothing, what is right costs least."""

import math

import numpy as np
import pytest
import torch

from mtl_core.card import DepthSpec
from mtl_core.labels import LabelMap
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.segmentation import Segmentation

SEGMENTATION = Segmentation(LabelMap.load("nyu13"))
DEPTH = Depth(DepthSpec(0.5, 8.0, 300.0))


def raw(task, seed=0):
    return torch.randn(2, task.channels, 4, 6, generator=torch.Generator().manual_seed(seed))


def target(task):
    if task is SEGMENTATION:
        return torch.arange(2 * 16 * 24).reshape(2, 16, 24) % 13
    return torch.linspace(0.6, 7.0, 2 * 16 * 24).reshape(2, 16, 24)


NONE = {"segmentation": 255, "depth": math.nan}


@pytest.mark.parametrize("task", [SEGMENTATION, DEPTH], ids=lambda t: t.name)
def test_without_labels_the_loss_is_zero_and_so_is_its_gradient(task):
    prediction = raw(task).requires_grad_()
    loss = task.loss(prediction, torch.full_like(target(task), NONE[task.name]))
    loss.backward()
    assert loss.item() == 0.0
    assert (prediction.grad == 0).all()


@pytest.mark.parametrize("task", [SEGMENTATION, DEPTH], ids=lambda t: t.name)
def test_an_unlabelled_image_does_not_change_the_loss_of_the_others(task):
    labelled = target(task)
    mixed = labelled.clone()
    mixed[1] = NONE[task.name]
    alone = task.loss(raw(task)[:1], labelled[:1])
    torch.testing.assert_close(task.loss(raw(task), mixed), alone)


def test_segmentation_loss_is_the_negative_log_probability():
    logits = torch.zeros(1, 13, 2, 2)
    logits[:, 3] = 5.0
    truth = torch.full((1, 2, 2), 3)
    expected = -math.log(math.exp(5) / (math.exp(5) + 12))
    assert SEGMENTATION.loss(logits, truth).item() == pytest.approx(expected, rel=1e-5)


def test_depth_is_bounded_whatever_the_network_says():
    wild = torch.tensor([-1e4, 0.0, 1e4]).reshape(1, 1, 1, 3).repeat(1, 2, 1, 1)
    outputs = DEPTH.outputs(wild)
    np.testing.assert_allclose(outputs["depth"].flatten(), [0.5, 2.0, 8.0], rtol=1e-5)
    assert outputs["depth_log_scale"].isfinite().all()


def test_depth_loss_is_least_at_the_truth():
    truth = torch.full((1, 4, 4), 3.0)
    place = math.log(3.0 / 0.5) / math.log(8.0 / 0.5)
    right = math.log(place / (1 - place))

    def loss(offset):
        prediction = torch.zeros(1, 2, 1, 1)
        prediction[:, 0] = right + offset
        return DEPTH.loss(prediction, truth).item()

    assert loss(0.0) == pytest.approx(0.0, abs=1e-5)
    assert loss(0.1) > loss(0.05) > loss(0.0)
    assert loss(-0.1) > loss(-0.05) > loss(0.0)

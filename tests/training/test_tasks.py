"""What every registered task keeps to, and what each one promises beside."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_core.card import DepthSpec
from mtl_core.labels import LabelMap
from mtl_core.prediction import Prediction
from mtl_training.data.sample import PseudoLabel
from mtl_training.errors import ConfigError
from mtl_training.tasks.depth import LOSSES, Depth, gradient_matching
from mtl_training.tasks.normals import Normals
from mtl_training.tasks.registry import TASKS, TaskConfig, build_tasks
from mtl_training.tasks.segmentation import Segmentation

CONFIG = TaskConfig(tuple(TASKS), "nyu13", 300.0, 0.5, 8.0)
ALL = build_tasks(CONFIG)
SEGMENTATION = Segmentation(LabelMap.load("nyu13"))
SPEC = DepthSpec(0.5, 8.0, 300.0)
DEPTH = Depth(SPEC)
N, H, W = 2, 16, 24

every_task = pytest.mark.parametrize("task", ALL, ids=lambda task: task.name)


def raw(task, seed=0, grid=(4, 6)):
    return torch.randn(N, task.channels, *grid, generator=torch.Generator().manual_seed(seed))


def answers(task, seed=0):
    """Labels that a network could give: those of a random head output."""
    outputs = {name: t[0].numpy() for name, t in task.outputs(raw(task, seed)).items()}
    return task.predicted(Prediction(outputs, H, W))


def target(task):
    return torch.from_numpy(np.stack([answers(task, seed) for seed in range(5, 5 + N)]))


def absent(task):
    return torch.from_numpy(np.stack([task.absent(H, W)] * N))


@every_task
def test_an_absent_label_is_not_known_and_a_predicted_one_is(task):
    assert not task.known(task.absent(H, W)).any()
    assert task.known(answers(task)).all()


@every_task
def test_without_labels_the_loss_is_zero_and_so_is_its_gradient(task):
    prediction = raw(task).requires_grad_()
    loss = task.loss(prediction, absent(task))
    loss.backward()
    assert loss.item() == 0.0
    assert (prediction.grad == 0).all()


@every_task
def test_an_unlabelled_image_does_not_change_the_loss_of_the_others(task):
    mixed = target(task)
    mixed[1] = absent(task)[1]
    alone = task.loss(raw(task)[:1], target(task)[:1])
    torch.testing.assert_close(task.loss(raw(task), mixed), alone)


@every_task
def test_a_pseudo_label_of_weight_zero_teaches_nothing(task):
    value = task.value(task.outputs(raw(task, 3)))
    prediction = raw(task).requires_grad_()
    loss = task.pseudo_loss(prediction, value, torch.zeros(N, 4, 6))
    loss.backward()
    assert loss.item() == 0.0
    assert (prediction.grad == 0).all()


@every_task
def test_the_pseudo_loss_of_absent_values_is_finite(task):
    """Where a sample has no pseudo-label its values are 0, which may be no answer at all."""
    value = task.value(task.outputs(raw(task, 3)))
    value[1], weight = 0.0, torch.ones(N, 4, 6)
    weight[1] = 0.0
    prediction = raw(task).requires_grad_()
    loss = task.pseudo_loss(prediction, value, weight)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[1] == 0).all()


@every_task
def test_one_s_own_answer_costs_less_than_another_s(task):
    prediction, weight = raw(task), torch.ones(N, 4, 6)
    own = task.pseudo_loss(prediction, task.value(task.outputs(prediction)), weight)
    other = task.pseudo_loss(prediction, task.value(task.outputs(raw(task, 9))), weight)
    assert own < other


@every_task
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_temperature_changes_the_confidence_and_not_the_answer(task, temperature):
    before, after = (task.tempered(task.outputs(raw(task)), t) for t in (1.0, temperature))
    chance, tempered = task.confidence(before), task.confidence(after)
    assert ((tempered <= chance) if temperature >= 1 else (tempered >= chance)).all()
    assert ((tempered >= 0) & (tempered <= 1)).all()
    values = (task.value(outputs) for outputs in (before, after))
    decoded = [task.decoded(v[0].permute(1, 2, 0).numpy(), 4, 6) for v in values]
    np.testing.assert_array_equal(*decoded)


@every_task
def test_values_survive_their_file_up_to_rounding(task):
    value = task.value(task.outputs(raw(task)))[0].permute(1, 2, 0).numpy()
    again = task.unpacked(task.packed(value))
    assert again.dtype == np.float32
    # Of a task with classes the unlikely ones share what is left.
    np.testing.assert_allclose(
        again, value, rtol=2e-3, atol=0.1 if len(task.group_names) > 1 else 0
    )
    np.testing.assert_array_equal(task.groups(again), task.groups(value))


@every_task
def test_the_mean_of_two_equal_predictions_is_each_of_them(task):
    outputs = task.outputs(raw(task))
    value = task.value(outputs)[0].permute(1, 2, 0).numpy()
    one = PseudoLabel(value, task.confidence(outputs)[0, 0].numpy())
    both = task.merged([one, one])
    np.testing.assert_allclose(both.value, one.value, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(both.confidence, one.confidence, rtol=1e-5)


@every_task
def test_labels_are_right_about_themselves_and_not_about_others(task):
    one, other = answers(task, 1), answers(task, 2)
    assert task.correct(one, one).all()
    assert not task.correct(one, other).all()


@every_task
def test_mirroring_twice_and_zooming_back_are_nothing(task):
    labels = answers(task)
    np.testing.assert_array_equal(task.mirrored(task.mirrored(labels)), labels)
    np.testing.assert_allclose(task.zoomed(task.zoomed(labels, 3.0), 1 / 3.0), labels, rtol=1e-5)


@every_task
def test_the_metric_of_the_truth_is_perfect_and_its_figures_are_those_announced(task):
    metric = task.metric()
    metric.update(answers(task), answers(task))
    figures = metric.figures()
    assert set(task.figures) <= figures.keys()
    for name, sign in task.figures.items():
        assert figures[name] == pytest.approx(1.0 if sign > 0 else 0.0, abs=1e-6), name


@every_task
def test_a_picture_has_the_size_of_its_labels(task):
    picture = task.picture(answers(task))
    assert (picture.shape, picture.dtype) == ((H, W, 3), np.uint8)


@pytest.mark.parametrize("task", [t for t in ALL if t.encoder()], ids=lambda task: task.name)
def test_a_signal_without_labels_is_the_empty_one(task):
    encoder = task.encoder()
    nothing, something = task.signal(absent(task)), task.signal(target(task))
    assert torch.equal(nothing, encoder.empty(N, H, W))
    assert not encoder.present(nothing).any()
    assert encoder.present(something).all()
    planes = encoder(something)
    assert planes.shape == (N, encoder.channels, H, W)
    assert torch.isfinite(planes).all()
    assert (encoder(nothing) == 0).all(), "what is not known says nothing at all"


def test_a_task_that_is_no_input_says_so():
    with pytest.raises(TypeError, match="task inverse_depth is not an input"):
        TASKS["inverse_depth"](CONFIG).signal(torch.ones(1, 2, 2))


def test_segmentation_loss_is_the_negative_log_probability():
    logits = torch.zeros(1, 13, 2, 2)
    logits[:, 3] = 5.0
    truth = torch.full((1, 2, 2), 3, dtype=torch.uint8)
    expected = -math.log(math.exp(5) / (math.exp(5) + 12))
    assert SEGMENTATION.loss(logits, truth).item() == pytest.approx(expected, rel=1e-5)


def test_class_weights_multiply_the_loss_of_their_class():
    weights = np.ones(13)
    weights[3] = 2.5
    truth = torch.full((1, 2, 2), 3, dtype=torch.uint8)
    logits = torch.randn(1, 13, 2, 2)
    plain = SEGMENTATION.loss(logits, truth)
    torch.testing.assert_close(SEGMENTATION.weighted(weights).loss(logits, truth), plain * 2.5)


def test_hard_pseudo_labels_are_those_of_the_most_likely_class():
    value = np.random.default_rng(0).dirichlet(np.ones(13), (3, 5)).astype(np.float32)
    hard = SEGMENTATION.hardened(value)
    assert set(np.unique(hard)) == {0.0, 1.0}
    np.testing.assert_array_equal(hard.argmax(2), value.argmax(2))
    np.testing.assert_array_equal(hard.sum(2), 1)


def test_depth_is_bounded_whatever_the_network_says():
    wild = torch.tensor([-1e4, 0.0, 1e4]).reshape(1, 1, 1, 3).repeat(1, 2, 1, 1)
    outputs = DEPTH.outputs(wild)
    np.testing.assert_allclose(outputs["depth"].flatten(), [0.5, 2.0, 8.0], rtol=1e-5)
    assert outputs["depth_log_scale"].isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gradient", [0.0, 0.5])
def test_depth_loss_is_least_at_the_truth(loss, gradient):
    task = Depth(SPEC, loss, gradient)
    truth = torch.full((1, 4, 4), 3.0)
    place = math.log(3.0 / 0.5) / math.log(8.0 / 0.5)
    right = math.log(place / (1 - place))

    def at(offset):
        prediction = torch.zeros(1, 2, 4, 4)
        prediction[:, 0] = right + offset * torch.linspace(0.5, 1, 16).reshape(4, 4)
        return task.loss(prediction, truth).item()

    assert at(0.1) > at(0.05) > at(0.0)
    assert at(-0.1) > at(-0.05) > at(0.0)


def test_an_unknown_depth_loss_lists_the_known_ones():
    with pytest.raises(ConfigError, match="unknown depth loss 'l2', known: laplace, l1, silog"):
        Depth(SPEC, "l2")


@settings(max_examples=25)
@given(st.floats(-2, 2), st.integers(0, 99))
def test_gradient_matching_ignores_a_common_scale_and_unknown_pixels(offset, seed):
    generator = torch.Generator().manual_seed(seed)
    error, known = torch.randn(1, 8, 8, generator=generator), torch.ones(1, 8, 8, dtype=torch.bool)
    known[:, 3:5, 2:7] = False
    moved = error + offset
    moved[~known] += 100
    torch.testing.assert_close(
        gradient_matching(moved, known), gradient_matching(error, known), rtol=1e-4, atol=1e-4
    )
    assert gradient_matching(torch.full((1, 8, 8), offset), known) == 0


def test_the_confidence_of_depth_is_the_share_within_the_limit():
    """Against a sample of the Laplace distribution that the head describes."""
    scale = -1.5
    errors = np.random.default_rng(0).laplace(0, math.exp(scale), 200_000)
    share = (np.abs(errors) < math.log(1.25)).mean()
    said = DEPTH.confidence({"depth_log_scale": torch.full((1, 1, 1, 1), scale)})
    assert said.item() == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("task", [t for t in ALL if t.likelihood], ids=lambda task: task.name)
def test_a_pseudo_label_teaches_no_more_certainty_than_it_has(task):
    """The scale that costs least against one's own answers is the one that they were said with."""
    raw_ = raw(task)
    outputs = task.outputs(raw_)
    said = task.confidence(outputs)[:, 0].clamp(0.05, 0.95)

    head = raw_.clone().requires_grad_()
    task.pseudo_loss(head, task.value(outputs), said).backward()
    scale = head.grad[:, -1]
    inside = (task.confidence(outputs)[:, 0] > 0.05) & (task.confidence(outputs)[:, 0] < 0.95)
    assert inside.any()
    assert scale[inside].abs().max() < 1e-3


def test_normals_are_unit_vectors_and_their_metric_is_the_angle():
    task = Normals()
    normals = answers(task)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, rtol=1e-5)
    turned = normals.copy()
    turned[..., [0, 1]] = np.stack([-normals[..., 1], normals[..., 0]], axis=-1)
    metric = task.metric()
    metric.update(turned, normals)
    angles = np.degrees(np.arccos(np.clip((turned * normals).sum(2), -1, 1)))
    assert metric.figures()["angle"] == pytest.approx(angles.mean(), abs=1e-3)
    assert metric.figures()["within_30"] == pytest.approx((angles < 30).mean(), abs=1e-3)


def test_unknown_tasks_are_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"unknown tasks \['flow'\], known: segmentation, depth"):
        TaskConfig(("flow",), "nyu13", 300.0, 0.5, 8.0)
    with pytest.raises(ConfigError, match="one or more different names"):
        TaskConfig(("depth", "depth"), "nyu13", 300.0, 0.5, 8.0)

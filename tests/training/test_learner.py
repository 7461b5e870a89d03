"""Losses are put together as the configuration says."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_training.config import LossConfig
from mtl_training.learning.consistency import strong_view
from mtl_training.learning.learner import TOTAL, Learner, task_balance
from mtl_training.learning.material import class_weights
from mtl_training.network import build_network, input_tasks
from mtl_training.tasks.registry import build_tasks


def learner_of(config, balance=None, fabric=None, **losses):
    config = replace(config, losses=replace(LossConfig(), **losses))
    tasks = build_tasks(config.tasks)
    torch.manual_seed(0)
    network = build_network(config, tasks)
    return Learner(network, tasks, input_tasks(config), config, balance or {}, fabric).eval()


@pytest.fixture
def batch():
    return batch_of_four()


def batch_of_four():
    generator = torch.Generator().manual_seed(0)
    weight = torch.zeros(4, 16, 24)
    weight[2:] = 0.7
    return {
        "image": torch.randint(0, 256, (4, 3, 64, 96), dtype=torch.uint8, generator=generator),
        "truth": {
            "segmentation": torch.randint(0, 13, (4, 64, 96), generator=generator).byte(),
            "depth": torch.rand(4, 64, 96, generator=generator) * 5 + 0.5,
        },
        "value": {
            "segmentation": torch.rand(4, 13, 16, 24, generator=generator).softmax(1),
        },
        "weight": {"segmentation": weight},
    }


def losses_of(learner, batch, step=0):
    return {k: v.item() for k, v in learner(batch, step, copy.deepcopy(learner.network)).items()}


def pooled(got, batch, truth=1.0, pseudo=1.0):
    """Of the mean losses of segmentation, the mean over its pixels with those weights each."""
    known = (batch["truth"]["segmentation"] != 255).float().mean().item()
    used = pseudo * batch["weight"]["segmentation"].mean().item()
    both = truth * got["segmentation"] * known + got["segmentation_pseudo"] * used
    return both / (known + used)


def test_a_task_s_loss_is_the_mean_over_pixels_with_truth_and_with_pseudo_labels(config, batch):
    batch["truth"]["segmentation"][1:] = 255
    got = losses_of(learner_of(config, pseudo_weight=0.3), batch)
    expected = pooled(got, batch, pseudo=0.3) + got["depth"]
    assert got[TOTAL] == pytest.approx(expected, rel=1e-5)
    assert "depth_pseudo" not in got


def part_of(batch, first, last):
    """Some images of a batch; without pseudo-labels where these have none, as when it is loaded."""
    found = {
        key: {name: planes[first:last] for name, planes in batch[key].items()}
        for key in ("truth", "value", "weight")
    }
    used = {name for name, weight in found["weight"].items() if weight.any()}
    value, weight = ({name: found[key][name] for name in used} for key in ("value", "weight"))
    image = batch["image"][first:last]
    return {"image": image, "truth": found["truth"], "value": value, "weight": weight}


TWO = """
import sys
sys.path.insert(0, sys.argv[1])
from lightning_fabric import Fabric
from conftest import CONFIG
from test_learner import TOTAL, batch_of_four, learner_of, part_of
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
half = part_of(batch_of_four(), 2 * fabric.global_rank, 2 * fabric.global_rank + 2)
assert bool(half["value"]) == bool(fabric.global_rank), "one of both has pseudo-labels"
learner = learner_of(CONFIG, fabric=fabric, pseudo_weight=0.3)
total = fabric.all_reduce(learner(half, 0, learner.network)[TOTAL].detach(), reduce_op="mean")
if fabric.is_global_zero:
    print(float(total))
"""


def test_two_devices_of_which_one_has_no_pseudo_labels_weigh_pixels_as_one_does(
    config, batch, tmp_path
):
    script = tmp_path / "two.py"
    script.write_text(TWO, encoding="utf-8")
    words = [sys.executable, str(script), str(Path(__file__).parent)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=300)
    expected = losses_of(learner_of(config, pseudo_weight=0.3), batch)[TOTAL]
    assert float(done.stdout.split()[-1]) == pytest.approx(expected, rel=1e-5)


def test_a_pseudo_label_counts_as_much_as_it_is_sure(config):
    """Twice as sure, twice the part in the mean; how sure all of them are changes no mean."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(1, 13, 2, 4, generator=generator)
    value = torch.rand(1, 13, 2, 4, generator=generator).softmax(1)
    (task,) = build_tasks(config.tasks, ["segmentation"])
    left, right = (torch.zeros(1, 2, 4) for _ in range(2))
    left[..., :2], right[..., 2:] = 1.0, 1.0
    one, other = (task.pseudo_loss(raw, value, weight).item() for weight in (left, right))
    both = task.pseudo_loss(raw, value, 0.4 * left + 0.8 * right).item()
    assert both == pytest.approx((one + 2 * other) / 3, rel=1e-5)
    assert one != pytest.approx(other, rel=1e-2)


def test_a_batch_s_images_weigh_alike_however_few_of_them_have_truth(config, batch):
    """The gradient of an image does not depend on what kind of label the other ones have."""
    batch["weight"]["segmentation"] = torch.ones(4, 16, 24)
    batch["weight"]["segmentation"][0] = 0
    batch["truth"]["segmentation"][1:] = 255
    batch["truth"]["depth"][:] = 0
    learner = learner_of(config)
    whole = learner(batch, 0, learner.network)[TOTAL].item()

    def alone(i):
        return learner(part_of(batch, i, i + 1), 0, learner.network)[TOTAL].item()

    assert whole == pytest.approx(sum(map(alone, range(4))) / 4, rel=1e-5)


def test_task_weights_and_balance_multiply_what_they_name(config, batch):
    learner = learner_of(config, {"segmentation": 3.0}, task_weights={"depth": 0.5})
    got = losses_of(learner, batch)
    expected = pooled(got, batch, truth=3.0) + 0.5 * got["depth"]
    assert got[TOTAL] == pytest.approx(expected, rel=1e-5)


def test_kendall_s_weights_are_learned_and_start_at_one(config, batch):
    learner = learner_of(config, weighting="kendall")
    losses = learner(batch, 0, copy.deepcopy(learner.network))
    equal = losses_of(learner_of(config), batch)
    assert losses[TOTAL].item() == pytest.approx(equal[TOTAL], rel=1e-5)
    losses[TOTAL].backward()
    assert list(learner.log_variance) == ["segmentation"], "depth has an uncertainty of its own"
    loss = pooled(equal, batch)
    got = learner.log_variance["segmentation"].grad.item()
    assert got == pytest.approx(1 - loss, rel=1e-4), "d/ds of exp(-s) loss + s"


def test_kendall_s_weights_stay_where_there_is_nothing_to_weigh(config, batch):
    learner = learner_of(config, weighting="kendall")
    batch["truth"]["segmentation"][:] = 255
    learner({**batch, "value": {}}, 0, learner.network)[TOTAL].backward()
    assert learner.log_variance["segmentation"].grad.item() == 0


def test_kendall_s_weight_settles_at_the_loss_it_weighs(config):
    """The least of exp(-s) L + s is at s = log L, for every loss that is no likelihood."""
    learner = learner_of(config, weighting="kendall")
    optimizer = torch.optim.Adam([learner.log_variance["segmentation"]], lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        learner._tempered("segmentation", torch.tensor(0.3)).backward()
        optimizer.step()
    assert learner.log_variance["segmentation"].item() == pytest.approx(math.log(0.3), abs=1e-3)


def test_frequency_weighs_the_rarer_task_more():
    balance = task_balance(LossConfig(weighting="frequency"), {"segmentation": 0.1, "depth": 1.0})
    assert balance["segmentation"] / balance["depth"] == pytest.approx(10)
    assert sum(balance.values()) / 2 == pytest.approx(1)
    assert task_balance(LossConfig(), {"segmentation": 0.1}) == {}


def test_class_weights_follow_the_root_of_the_frequency():
    weights = class_weights(np.array([100, 400, 25, 0, 10**9]))
    np.testing.assert_allclose(weights, [math.sqrt(2.5), math.sqrt(0.625), 3.0, 1.0, 0.3])


def test_modality_dropout_follows_the_seed_and_the_step_alone(teacher_config, batch):
    learner = learner_of(teacher_config)
    torch.nn.init.normal_(learner.network.fusion[0].projection.weight, std=30.0)
    torch.manual_seed(1)
    once = losses_of(learner, batch, 3)
    torch.manual_seed(2)
    assert losses_of(learner, batch, 3) == once
    assert any(losses_of(learner, batch, step) != once for step in range(4, 8))


@pytest.mark.parametrize(("probability", "same"), [(1.0, True), (0.0, False)])
def test_with_every_input_dropped_the_teacher_sees_the_image_alone(
    teacher_config, batch, probability, same
):
    learner = learner_of(teacher_config, modality_dropout=probability)
    torch.nn.init.normal_(learner.network.fusion[0].projection.weight, std=30.0)
    image = learner.normalised(batch["image"])
    alone = learner.network(image)
    expected = sum(
        task.loss(alone[task.name], batch["truth"][task.name]).item() for task in learner._tasks
    )
    got = losses_of(learner, {**batch, "value": {}})[TOTAL]
    assert (got == pytest.approx(expected, rel=1e-5)) is same


@pytest.fixture
def unlabelled(batch):
    """The batch of which one image has its truth."""
    truth = {name: labels.clone() for name, labels in batch["truth"].items()}
    truth["segmentation"][1:], truth["depth"][1:] = 255, math.nan
    return {**batch, "truth": truth, "value": {}}


def test_consistency_asks_only_where_the_averaged_network_is_sure(config, unlabelled):
    batch = unlabelled
    unsure = losses_of(learner_of(config, consistency=1.0, consistency_threshold=1.0), batch)
    sure = losses_of(learner_of(config, consistency=0.5, consistency_threshold=0.0), batch)
    assert unsure["segmentation_consistency"] == 0
    assert sure["segmentation_consistency"] > 0
    parts = sure["segmentation"] + sure["depth"]
    harder = sure["segmentation_consistency"] + sure["depth_consistency"]
    assert sure[TOTAL] == pytest.approx(parts + 0.5 * harder, rel=1e-5)


def test_consistency_is_asked_of_what_has_no_truth(config, batch, unlabelled):
    learner = learner_of(config, consistency=1.0, consistency_threshold=0.0)
    half = {**unlabelled["truth"], "depth": batch["truth"]["depth"]}
    got = losses_of(learner, {**unlabelled, "truth": half})
    assert got["depth_consistency"] == 0
    assert got["segmentation_consistency"] > 0


def test_both_views_go_through_batch_norm_together(config, unlabelled):
    """Else running statistics are of one batch or the other, and fit neither of them."""
    learner = learner_of(config, consistency=1.0, consistency_threshold=0.0).train()
    averaged = copy.deepcopy(learner.network)
    norm = next(m for m in learner.network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    sizes = []
    norm.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    learner(unlabelled, 0, averaged)
    assert sizes == [2 * len(unlabelled["image"])]


def test_consistency_under_class_weights_does_not_drift_to_rare_classes(config, batch, monkeypatch):
    """A network that learns again and again what it says, as consistency has it."""
    given = {}

    def view(image, signals, values, weights, generator):
        given.update(values)
        return strong_view(image, signals, values, weights, generator)

    monkeypatch.setattr("mtl_training.learning.learner.strong_view", view)
    learner = learner_of(config, consistency=1.0, consistency_threshold=0.0)
    losses_of(learner, {**batch, "value": {}})
    assert given["segmentation"].unique().tolist() == [0, 1]
    assert (given["segmentation"].sum(dim=1) == 1).all()
    task = build_tasks(config.tasks)[0].weighted(np.array([0.3] * 12 + [3.0]))
    logits = torch.zeros(1, 13, 1, 1)
    logits[0, 0], logits[0, 12] = 3.0, 1.5
    for _ in range(60):
        logits.requires_grad_()
        said = task.certain(task.value({"segmentation": logits.detach()}))
        task.pseudo_loss(logits, said, torch.ones(1, 1, 1)).backward()
        logits = (logits - logits.grad).detach()
    assert logits.argmax() == 0


def test_a_pasted_box_takes_its_labels_along():
    """Each image is of one colour and its labels name it: what was pasted says where it is from."""
    number = torch.arange(1.0, 5.0).view(4, 1, 1, 1)
    image = number.expand(4, 3, 64, 96)
    view = strong_view(
        image,
        {"depth": number.expand(4, 1, 64, 96)},
        {"task": number.expand(4, 1, 16, 24)},
        {"task": number[:, 0].expand(4, 16, 24)},
        torch.Generator().manual_seed(1),
    )
    value = view.values["task"]
    assert torch.equal(view.weights["task"], value[:, 0])
    assert torch.equal(
        torch.nn.functional.interpolate(value, scale_factor=4), view.signals["depth"]
    )
    pasted = value != number
    share = pasted.float().mean().item()
    assert 0.05 < share < 0.6
    assert (pasted.flatten(1).sum(1) == pasted[0].sum()).all()

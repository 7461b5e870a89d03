"""From a batch to losses: ground truth, pseudo-labels, consistency, and how tasks are weighed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mtl_training.config import LossConfig, TrainConfig
from mtl_training.data.loader import Batch
from mtl_training.learning.consistency import StrongView, strong_view
from mtl_training.network import Network, encoder_of
from mtl_training.tasks.base import SignalEncoder, Task

TOTAL = "total"
"""Key of what is minimised, beside the losses by task."""

PSEUDO, CONSISTENCY = "_pseudo", "_consistency"
"""What follows a task's name in that of its loss against pseudo-labels, and of its consistency."""

_NO_AREA = 1e-9
"""Keeps 0 / 0 away."""


@dataclass(frozen=True)
class Part:
    """A mean loss over some pixels of a batch.

    Attributes:
        loss: ().
        area: (), the share of the batch that it is the mean of; pixels count as much as they weigh.
    """

    loss: Tensor
    area: Tensor


class Learner(nn.Module):
    """A network, its tasks, and the loss of a batch.

    Args:
        network: What learns.
        tasks: What it learns.
        inputs: Tasks whose signals it gets beside the image.
        config: Seed, weights and the input's normalisation.
        balance: Factor of each task's loss against truth, beside the configured ones.
        fabric: The devices that share a batch; None = this one alone.
    """

    def __init__(
        self,
        network: Network,
        tasks: Sequence[Task],
        inputs: Sequence[Task],
        config: TrainConfig,
        balance: Mapping[str, float],
        fabric: Fabric | None = None,
    ) -> None:
        super().__init__()
        self._fabric = fabric if fabric is not None and fabric.world_size > 1 else None
        self.network = network
        self._tasks = tuple(tasks)
        self._inputs = {encoder_of(task).input_name: task for task in inputs}
        self._losses, self._seed, self._balance = config.losses, config.seed, dict(balance)
        spec = config.network.spec
        self.register_buffer("_mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)
        if self._losses.weighting == "kendall":
            weighed = [task.name for task in tasks if not task.likelihood]
            self.log_variance = nn.ParameterDict({name: torch.zeros(()) for name in weighed})

    def normalised(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to the network's float32 input, channels last."""
        planes: Tensor = (image.float() / 255 - self._mean) / self._std  # type: ignore[operator]
        return planes.contiguous(memory_format=torch.channels_last)

    def forward(self, batch: Batch, step: int, averaged: nn.Module) -> dict[str, Tensor]:
        """Losses by name, and their weighted sum as `total`.

        Args:
            batch: See `data.loader.Collate`.
            step: Its number, from which all randomness follows.
            averaged: The averaged network, for consistency.
        """
        # On the CPU, so that it draws the same numbers whatever computes the rest.
        rank = self._fabric.global_rank if self._fabric else 0
        generator = torch.Generator().manual_seed(_mixed(self._seed, step, rank))
        image, truth = self.normalised(batch["image"]), batch["truth"]
        signals = self._signals(truth)
        shown = self._dropped(signals, generator)
        harder: StrongView | None = None
        if self._losses.consistency:
            harder = self._harder(image, signals, truth, averaged, generator)
        raw, raw_harder = self._asked(image, shown, harder, generator)
        parts = self._consistency(raw_harder, harder)
        for task in self._tasks:
            parts |= self._parts(task, raw[task.name], batch)
        areas = self._everywhere(parts)
        losses = {name: part.loss * part.area / areas[name] for name, part in parts.items()}
        sums = {task.name: self._sum(task.name, losses, areas) for task in self._tasks}
        return {**losses, TOTAL: self._total(sums)}

    def _parts(self, task: Task, raw: Tensor, batch: Batch) -> dict[str, Part]:
        """What is learned of truth and, if there are any, of pseudo-labels."""
        name, truth = task.name, batch["truth"][task.name]
        area = task.count(truth) / math.prod(truth.shape[:3])
        parts = {name: Part(task.loss(raw, truth), area)}
        if name in batch["value"]:
            value, weight = batch["value"][name], batch["weight"][name]
            parts[name + PSEUDO] = _against(task, raw, value, weight)
        return parts

    def _everywhere(self, parts: Mapping[str, Part]) -> dict[str, Tensor]:
        """The parts' areas, as means over all devices, in one exchange whatever parts each has."""
        kinds = ("", PSEUDO, CONSISTENCY)
        names = [task.name + kind for task in self._tasks for kind in kinds]
        nothing = parts[names[0]].area.new_zeros(())
        areas = torch.stack([parts[name].area if name in parts else nothing for name in names])
        if self._fabric is not None:
            areas = cast(Tensor, self._fabric.all_reduce(areas, reduce_op="mean"))
        return dict(zip(names, areas.clamp(min=_NO_AREA), strict=True))

    def _sum(self, name: str, losses: Mapping[str, Tensor], areas: Mapping[str, Tensor]) -> Tensor:
        """A task's loss: the mean over pixels with truth or pseudo-label, and consistency."""
        truth, pseudo = areas[name], self._losses.pseudo_weight * areas[name + PSEUDO]
        balanced = self._balance.get(name, 1.0) * losses[name]
        # Another device may have pseudo-labels where this one has none.
        loss = (truth * balanced + pseudo * losses.get(name + PSEUDO, 0.0)) / (truth + pseudo)
        if name + CONSISTENCY in losses:
            loss = loss + self._losses.consistency * losses[name + CONSISTENCY]
        return loss

    def _signals(self, truth: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs beside the image."""
        return {name: task.signal(truth[task.name]) for name, task in self._inputs.items()}

    def _dropped(
        self, signals: Mapping[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The inputs, each left out of a sample with some probability."""
        kept = {}
        for name, signal in signals.items():
            chance = torch.rand(len(signal), 1, 1, 1, generator=generator)
            gone = (chance < self._losses.modality_dropout).to(signal.device)
            encoder = cast(SignalEncoder, self.network.signals[name])
            nothing = torch.full_like(signal, encoder.none)
            kept[name] = torch.where(gone, nothing, signal)
        return kept

    def _harder(
        self,
        image: Tensor,
        signals: Mapping[str, Tensor],
        truth: Mapping[str, Tensor],
        averaged: nn.Module,
        generator: torch.Generator,
    ) -> StrongView:
        """A harder view of the batch, with what the averaged network says of the plain one.

        It is asked of samples that have no truth of a task. Its classes count as certain: under
        class weights, probabilities would drift to rare classes, since the averaged network learns
        what it has taught.
        """
        with torch.no_grad():
            averaged.eval()
            answers = averaged(image, signals)
            said = {task.name: task.outputs(answers[task.name]) for task in self._tasks}
            values = {task.name: task.certain(task.value(said[task.name])) for task in self._tasks}
            sure = {
                task.name: self._sure(task.confidence(said[task.name])[:, 0])
                * _lacking(task, truth[task.name])
                for task in self._tasks
            }
        return strong_view(image, signals, values, sure, generator)

    def _asked(
        self,
        image: Tensor,
        shown: Mapping[str, Tensor],
        harder: StrongView | None,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Outputs of both views, in one pass, so that batch norm has one set of statistics."""
        if harder is None:
            return self.network(image, shown), {}
        dropped = self._dropped(harder.signals, generator)
        signals = {name: torch.cat([shown[name], dropped[name]]) for name in shown}
        raw = self.network(torch.cat([image, harder.image]), signals)
        halves = {name: planes.chunk(2) for name, planes in raw.items()}
        first, second = ({name: half[i] for name, half in halves.items()} for i in (0, 1))
        return first, second

    def _consistency(self, raw: Mapping[str, Tensor], harder: StrongView | None) -> dict[str, Part]:
        """What is learned in the harder view of what was said of the plain one."""
        if harder is None:
            return {}
        return {
            task.name + CONSISTENCY: _against(
                task, raw[task.name], harder.values[task.name], harder.weights[task.name]
            )
            for task in self._tasks
        }

    def _sure(self, confidence: Tensor) -> Tensor:
        return confidence * (confidence >= self._losses.consistency_threshold)

    def _total(self, sums: Mapping[str, Tensor]) -> Tensor:
        weights = self._losses.task_weights
        parts = [weights.get(name, 1.0) * self._tempered(name, loss) for name, loss in sums.items()]
        return torch.stack(parts).sum()

    def _tempered(self, name: str, loss: Tensor) -> Tensor:
        """Kendall et al., CVPR 2018: exp(-s) loss + s, where there is any loss to weigh."""
        if self._losses.weighting != "kendall" or name not in self.log_variance:
            return loss
        s = self.log_variance[name]
        tempered: Tensor = loss * torch.exp(-s) + s * (loss.detach() > 0)
        return tempered


def _against(task: Task, raw: Tensor, value: Tensor, weight: Tensor) -> Part:
    """What is learned of values (N, C, h, w), each as much as it is sure, (N, h, w)."""
    return Part(task.pseudo_loss(raw, value, weight), weight.mean())


def _lacking(task: Task, truth: Tensor) -> Tensor:
    """Which samples have no truth of a task, (N, 1, 1) float32."""
    counts = torch.stack([task.count(truth[i : i + 1]) for i in range(len(truth))])
    return (counts == 0).float().view(-1, 1, 1)


def _mixed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def task_balance(losses: LossConfig, shares: Mapping[str, float]) -> dict[str, float]:
    """Factors of the losses against truth, from the share of samples that have a task's truth."""
    if losses.weighting != "frequency":
        return {}
    inverse = {name: 1 / share for name, share in shares.items() if share > 0}
    mean = sum(inverse.values()) / max(len(inverse), 1)
    return {name: factor / mean for name, factor in inverse.items()}

"""From a batch to losses: ground truth, pseudo-labels, consistency, and how tasks are weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        losses = {
            task.name: self._fair(
                task.loss(raw[task.name], truth[task.name]), task.count(truth[task.name])
            )
            for task in self._tasks
        }
        sums = {name: self._weight(name) * loss for name, loss in losses.items()}
        for name, loss in self._pseudo(raw, batch).items():
            losses[f"{name}_pseudo"] = loss
            sums[name] = sums[name] + self._losses.pseudo_weight * loss
        for name, loss in self._consistency(raw_harder, harder).items():
            losses[f"{name}_consistency"] = loss
            sums[name] = sums[name] + self._losses.consistency * loss
        return {**losses, TOTAL: self._total(sums)}

    def _weight(self, name: str) -> float:
        return self._balance.get(name, 1.0)

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

    def _pseudo(self, raw: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {
            task.name: self._against(
                task, raw, batch["value"][task.name], batch["weight"][task.name]
            )
            for task in self._tasks
            if task.name in batch["value"]
        }

    def _against(
        self, task: Task, raw: Mapping[str, Tensor], value: Tensor, weight: Tensor
    ) -> Tensor:
        return self._fair(task.pseudo_loss(raw[task.name], value, weight), (weight > 0).sum())

    def _fair(self, loss: Tensor, count: Tensor) -> Tensor:
        """A mean over this device's pixels as its part of the mean over all devices' pixels."""
        if self._fabric is None:
            return loss
        everywhere = cast(Tensor, self._fabric.all_reduce(count.float(), reduce_op="sum"))
        return loss * (count * self._fabric.world_size / everywhere.clamp(min=1))

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

    def _consistency(
        self, raw: Mapping[str, Tensor], harder: StrongView | None
    ) -> dict[str, Tensor]:
        """Losses of the harder view against what was said of the plain one."""
        if harder is None:
            return {}
        return {
            task.name: self._against(task, raw, harder.values[task.name], harder.weights[task.name])
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

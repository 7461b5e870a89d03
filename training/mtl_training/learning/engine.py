"""The training loop: resumable at any step, reproducible from its seed, on any devices."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from mtl_training.config import ScheduleConfig, TrainConfig
from mtl_training.data.loader import Batch, BatchOrder, batches
from mtl_training.errors import DatasetError, DivergedError, ResumeError
from mtl_training.files import remove_orphans, write_json
from mtl_training.learning import checkpoint
from mtl_training.learning.learner import TOTAL, Learner
from mtl_training.learning.log import RunLog
from mtl_training.learning.machine import Machine, environment
from mtl_training.learning.material import Material, gather
from mtl_training.network import Network, build_network, input_tasks
from mtl_training.provenance import commit
from mtl_training.pseudo.store import teacher_of
from mtl_training.settings import config_fields

CLIP = 5.0
"""Largest norm of a gradient."""


@dataclass
class Run:
    """Everything that changes while a network is trained."""

    learner: Learner
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Write all of it."""
        tensors = {
            **checkpoint.prefixed("learner.", self.learner.state_dict()),
            **checkpoint.prefixed("averaged.", self.averaged.state_dict()),
            **checkpoint.prefixed("optimizer.", checkpoint.optimizer_tensors(self.optimizer)),
        }
        checkpoint.save(path, tensors, {"step": self.step})

    def restore(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            CheckpointError: The file is damaged, or of another architecture.
        """
        tensors, notes = checkpoint.load(path)
        where = str(path)
        checkpoint.load_into(self.learner, checkpoint.unprefixed("learner.", tensors), where)
        checkpoint.load_into(self.averaged, checkpoint.unprefixed("averaged.", tensors), where)
        checkpoint.restore_optimizer(self.optimizer, checkpoint.unprefixed("optimizer.", tensors))
        self.step = int(notes["step"])

    def set_rates(self, schedule: ScheduleConfig) -> None:
        """The learning rates of the coming step."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * one_cycle(self.step, schedule)

    @property
    def network(self) -> Network:
        """The averaged network, which is the result."""
        return cast(Network, self.averaged.module)


def train(config: TrainConfig, folder: Path, machine: Machine, resume: bool = False) -> Path:
    """Train a network.

    The folder gets `run.json` (configuration, commit, environment, start), `metrics.jsonl`,
    `tensorboard/`, `checkpoint.safetensors` (to go on from) and, at the end, `weights.safetensors`
    (the averaged weights with the record). On one CPU the weights are the same, bit by bit, however
    often the run was killed and resumed.

    Args:
        config: What to train on, and how.
        folder: The run's folder, made if need be. A finished run of this configuration is kept.
        machine: On what.
        resume: Whether to go on with an unfinished run of that folder.

    Raises:
        ResumeError: The folder holds a run of other settings, or an unfinished one and `resume` is
            not set.
        DatasetError: The data are absent or damaged.
        CheckpointError: A checkpoint is damaged, or cannot be written.
    """
    fabric = machine.fabric()
    if fabric.is_global_zero:
        claim(folder, config, machine, resume)
    fabric.barrier()
    if not (folder / checkpoint.WEIGHTS).is_file():
        _learn(fabric, config, folder, machine)
    fabric.barrier()
    return folder


def _learn(fabric: Fabric, config: TrainConfig, folder: Path, machine: Machine) -> None:
    material = gather(config)
    run = new_run(config, material, fabric)
    fabric.to_device(run.learner)
    fabric.to_device(run.averaged)
    path = folder / checkpoint.CHECKPOINT
    if path.is_file():
        run.restore(path)
    learner, optimizer = fabric.setup(run.learner, run.optimizer)
    steps = config.schedule.steps
    quiet = not fabric.is_global_zero
    with RunLog(folder, run.step, steps, config.name, quiet=quiet) as log:
        for batch in _batches(fabric, config, material, machine, run.step):
            run.set_rates(config.schedule)
            losses = learner(batch, run.step, run.averaged)
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(losses[TOTAL])
            norm = fabric.clip_gradients(
                learner, optimizer, max_norm=CLIP, error_if_nonfinite=False
            )
            _check_finite(norm, losses, run.step)
            optimizer.step()
            run.averaged.update_parameters(run.learner.network)
            run.step += 1
            log.add(run.step, losses)
            if fabric.is_global_zero and (run.step % machine.save_every == 0 or run.step == steps):
                run.save(path)
    if fabric.is_global_zero:
        record = checkpoint.read_record(folder / checkpoint.RECORD)
        state = _with_start(config, run.network.state_dict())
        checkpoint.save(folder / checkpoint.WEIGHTS, state, {"record": record})


def _with_start(config: TrainConfig, learned: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """What was learned, and the share that the configuration leaves to what it began with."""
    share = config.schedule.start_share
    if not share:
        return learned
    begun = checkpoint.load_trained(Path(config.start)).weights
    return {
        name: tensor.cpu().lerp(begun[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in learned.items()
    }


def _check_finite(norm: Tensor | None, losses: Mapping[str, Tensor], step: int) -> None:
    """Stop before a step would spoil the weights; an infinite loss has no finite gradient."""
    if norm is not None and not torch.isfinite(norm):
        shown = ", ".join(f"{name} {float(loss.detach()):.4g}" for name, loss in losses.items())
        raise DivergedError(
            f"step {step + 1}: the gradient is not finite (losses: {shown}); the last checkpoint "
            "is kept, lower learning rates may help"
        )


def _batches(
    fabric: Fabric, config: TrainConfig, material: Material, machine: Machine, first: int
) -> Iterator[Batch]:
    order = BatchOrder(
        material.pools,
        config.schedule.batch_size,
        config.seed,
        first,
        config.schedule.steps,
        part=(fabric.global_rank, fabric.world_size),
    )
    loader: Iterable[Batch] = batches(material.views, order, material.tasks, machine.workers)
    for batch in loader:
        yield cast(Batch, fabric.to_device(batch))


def new_run(config: TrainConfig, material: Material, fabric: Fabric | None = None) -> Run:
    """A network with pretrained encoders, or the weights it is to start from, before step 0."""
    torch.manual_seed(config.seed)
    network = build_network(config, material.learned)
    if config.start:
        start = checkpoint.load_trained(Path(config.start))
        checkpoint.load_into(network, start.weights, str(start.path))
    else:
        network.load_imagenet()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inputs = input_tasks(config)
    learner = Learner(network, material.learned, inputs, config, material.balance, fabric)
    mean = partial(_moving_mean, config.schedule.ema_decay)
    averaged = AveragedModel(network, multi_avg_fn=mean, use_buffers=True)
    return Run(learner, averaged, _optimizer(learner, config.schedule))


def _moving_mean(
    decay: float, means: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int
) -> None:
    """One step of the averaged weights; early ones are soon forgotten, however short the run."""
    number = int(count)
    if means[0].is_floating_point():
        weight = 1 - min(decay, (1 + number) / (10 + number))
        torch._foreach_lerp_(list(means), list(values), weight)
    else:
        torch._foreach_copy_(list(means), list(values))


def _optimizer(learner: Learner, schedule: ScheduleConfig) -> torch.optim.Optimizer:
    encoders = [p for encoder in learner.network.encoders() for p in encoder.parameters()]
    known = {id(parameter) for parameter in encoders}
    rest = [p for p in learner.parameters() if id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": encoders, "peak": schedule.backbone_lr},
        {"params": rest, "peak": schedule.lr},
    ]
    return torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)


def one_cycle(step: int, schedule: ScheduleConfig) -> float:
    """Share of the peak learning rate at a step: a cosine up from 1/25, then down to near 0.

    Source: Smith and Topin, "Super-Convergence", 2018; the shape of torch's OneCycleLR.
    """
    peak = schedule.warmup * schedule.steps
    if step < peak:
        return _cosine(1 / 25, 1.0, step / peak)
    return _cosine(1.0, 1e-5, (step - peak) / max(schedule.steps - 1 - peak, 1))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def claim(folder: Path, config: TrainConfig, machine: Machine, resume: bool) -> None:
    """Record what runs in this folder, or refuse it.

    Raises:
        ResumeError: It holds a run of other settings, or from other labels; or an unfinished one
            and `resume` is not set.
    """
    path = folder / checkpoint.RECORD
    remove_orphans(folder)
    plan = _plan(config)
    start = {"commit": commit(), "environment": environment(machine)}
    if not path.exists():
        write_json(path, {**plan, **start})
        return
    before = checkpoint.read_record(path)
    if different := sorted(_differences({name: before.get(name) for name in plan}, plan)):
        raise ResumeError(f"{folder} holds a run with other settings: {', '.join(different)}")
    if (folder / checkpoint.WEIGHTS).exists() or not (folder / checkpoint.CHECKPOINT).exists():
        return
    if not resume:
        raise ResumeError(f"{folder} holds an unfinished run; --resume goes on with it")
    write_json(path, {**before, "resumed": [*before.get("resumed", ()), start]})


def _plan(config: TrainConfig) -> dict[str, Any]:
    """All that a run's result follows from but code and machine, by content and not by name."""
    plan = {
        "config": config_fields(config),
        "protocols": {d.protocol: _sha256(d.protocol) for d in config.data if d.protocol},
        "pseudo": {d.pseudo: teacher_of(Path(d.pseudo)) for d in config.data if d.pseudo},
    }
    if config.start:
        plan["start"] = dict(checkpoint.load_trained(Path(config.start)).record)
    # As JSON gives it back.
    return dict(json.loads(json.dumps(plan)))


def _sha256(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as err:
        raise DatasetError(f"{path}: expected an imbalance protocol: {err}") from err


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Names of the settings in which two configurations, as plain types, differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            below = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), below)
    elif before != now:
        yield name

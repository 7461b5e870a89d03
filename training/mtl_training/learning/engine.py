"""The training loop: resumable at any step, reproducible from its seed, on any devices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
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
from mtl_training.errors import ResumeError
from mtl_training.files import write_json
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
        claim(folder, config, resume)
    fabric.barrier()
    if not (folder / checkpoint.WEIGHTS).is_file():
        _learn(fabric, config, folder, machine)
    fabric.barrier()
    return folder


def _learn(fabric: Fabric, config: TrainConfig, folder: Path, machine: Machine) -> None:
    material = gather(config)
    run = new_run(config, material)
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
            fabric.clip_gradients(learner, optimizer, max_norm=CLIP, error_if_nonfinite=False)
            optimizer.step()
            run.averaged.update_parameters(run.learner.network)
            run.step += 1
            log.add(run.step, losses)
            if fabric.is_global_zero and (run.step % machine.save_every == 0 or run.step == steps):
                run.save(path)
    if fabric.is_global_zero:
        record = json.loads((folder / checkpoint.RECORD).read_text(encoding="utf-8"))
        state = run.network.state_dict()
        checkpoint.save(folder / checkpoint.WEIGHTS, state, {"record": record})


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


def new_run(config: TrainConfig, material: Material) -> Run:
    """A network with pretrained encoders, or the weights it is to start from, before step 0."""
    torch.manual_seed(config.seed)
    network = build_network(config, material.learned)
    if config.start:
        start = checkpoint.load_trained(Path(config.start))
        checkpoint.load_into(network, start.weights, str(start.path))
    else:
        network.load_imagenet()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner(network, material.learned, input_tasks(config), config, material.balance)
    decay = config.schedule.ema_decay
    averaged = AveragedModel(network, avg_fn=partial(_moving_mean, decay), use_buffers=True)
    return Run(learner, averaged, _optimizer(learner, config.schedule))


def _moving_mean(decay: float, mean: Tensor, value: Tensor, count: Tensor) -> Tensor:
    """One step of the averaged weights; early ones are soon forgotten, however short the run."""
    share = min(decay, (1 + int(count)) / (10 + int(count)))
    return mean.lerp(value, 1 - share) if mean.is_floating_point() else value


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


def claim(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Record what runs in this folder, or refuse it.

    Raises:
        ResumeError: It holds a run of other settings, or an unfinished one and `resume` is not set.
    """
    path = folder / checkpoint.RECORD
    fields = config_fields(config)
    if not path.exists():
        write_json(path, _record(config))
        return
    before = json.loads(path.read_text(encoding="utf-8"))["config"]
    if different := sorted(_differences(before, fields)):
        raise ResumeError(f"{folder} holds a run with other settings: {', '.join(different)}")
    finished = (folder / checkpoint.WEIGHTS).exists()
    if (folder / checkpoint.CHECKPOINT).exists() and not finished and not resume:
        raise ResumeError(f"{folder} holds an unfinished run; --resume goes on with it")


def _record(config: TrainConfig) -> dict[str, Any]:
    """What `run.json` says, with the teachers behind pseudo-labels and the run behind a start."""
    record = {
        "config": config_fields(config),
        "commit": commit(),
        "environment": environment(),
        "pseudo": {d.pseudo: teacher_of(Path(d.pseudo)) for d in config.data if d.pseudo},
    }
    if config.start:
        record["start"] = dict(checkpoint.load_trained(Path(config.start)).record)
    return record


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Names of the settings in which two configurations, as plain types, differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            below = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), below)
    elif before != now:
        yield name

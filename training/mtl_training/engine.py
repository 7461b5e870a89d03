"""The training loop: resumable to the epoch, reproducible from its seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mtl_training.config import StudentConfig, config_fields
from mtl_training.data.loader import AugmentedSamples, EpochOrder, batches
from mtl_training.data.nyuv2 import NYUv2
from mtl_training.data.rooms import Rooms
from mtl_training.data.sample import SampleSource
from mtl_training.errors import ConfigError, ResumeError
from mtl_training.model import build_student, build_tasks, input_spec
from mtl_training.networks.student import Student
from mtl_training.provenance import commit
from mtl_training.tasks.base import Task

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
RECORD = "run.json"


@dataclass
class Run:
    """Everything that changes while a student is trained."""

    student: Student
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    epoch: int = 0

    def state(self) -> dict[str, Any]:
        """The state that a checkpoint holds."""
        return {
            "student": self.student.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.student.load_state_dict(state["student"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch = int(state["epoch"])


def sources(config: StudentConfig) -> list[SampleSource]:
    """The training images that a configuration names."""
    found: list[SampleSource] = [NYUv2(config.nyuv2_list)] if config.nyuv2_list else []
    if config.room_frames:
        size = (config.height, config.width)
        found.append(Rooms(config.room_frames, *size, config.canonical_fx, config.seed))
    return found


def new_run(config: StudentConfig, tasks: list[Task], steps: int, device: torch.device) -> Run:
    """A student with ImageNet's encoder, its optimiser and its schedule."""
    torch.manual_seed(config.seed)
    student = build_student(tasks)
    student.backbone.load_imagenet()
    student.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    encoder = list(student.backbone.parameters())
    rest = [*student.pyramid.parameters(), *student.heads.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": encoder}, {"params": rest}], weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=[config.backbone_lr, config.lr], total_steps=steps, pct_start=0.15
    )
    ema = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(student, multi_avg_fn=ema, use_buffers=True)
    return Run(student, averaged, optimizer, schedule)


def train(
    config: StudentConfig,
    folder: Path,
    device: torch.device,
    workers: int,
    start: Path | None = None,
) -> Run:
    """Train a student, or go on with the run of that folder.

    Writes into the folder: `run.json` (configuration, commit, the run it started from), `log.jsonl`
    (mean losses of each epoch) and `checkpoint.pt` (after each epoch).

    Args:
        config: What to train on, and how.
        folder: The run's folder, made if need be.
        device: Where to train.
        workers: Processes that prepare images; 0 = this one.
        start: A finished run whose averaged weights to begin with, in place of ImageNet's encoder.

    Raises:
        ResumeError: The folder holds a run of another configuration or start, or `start` holds no
            finished run.
        DatasetError: The data are absent.
        ConfigError: There are fewer samples than a batch holds.
    """
    finished = load_finished(start) if start else None
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, {"config": config_fields(config), "start": finished and finished.record})
    tasks = build_tasks(config)
    samples = AugmentedSamples(
        sources(config), input_spec(config), config.canonical_fx, config.seed
    )
    order = EpochOrder(len(samples), config.seed)
    loader = batches(samples, order, config.batch_size, workers)
    if not len(loader):
        raise ConfigError(f"{len(samples)} samples do not fill a batch of {config.batch_size}")
    run = new_run(config, tasks, config.epochs * len(loader), device)
    if finished:
        run.student.load_state_dict(finished.weights)
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        run.restore(torch.load(checkpoint, map_location=device, weights_only=True))
    _trim_log(folder / LOG, run.epoch)
    weights = {"depth": config.depth_weight}
    while run.epoch < config.epochs:
        order.epoch = run.epoch
        losses = _epoch(run, tasks, loader, weights, f"epoch {run.epoch + 1}/{config.epochs}")
        run.epoch += 1
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"epoch": run.epoch, **losses}) + "\n")
        _save(checkpoint, run)
    return run


def _trim_log(path: Path, epochs: int) -> None:
    """Drop what a kill left of an epoch that was logged and not saved, which will run again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    path.write_text("".join(lines[:epochs]), encoding="utf-8")


@dataclass(frozen=True)
class Finished:
    """A finished run: its record (configuration, commit, start) and its averaged weights."""

    record: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def config(self) -> StudentConfig:
        """The configuration it was trained with."""
        return StudentConfig(**self.record["config"])


def load_finished(folder: Path) -> Finished:
    """Read a finished run.

    Raises:
        ResumeError: The folder holds no run, or one with epochs to go.
    """
    path, checkpoint = folder / RECORD, folder / CHECKPOINT
    if not path.is_file() or not checkpoint.is_file():
        raise ResumeError(f"{folder}: expected {RECORD} and {CHECKPOINT} of a run, not both there")
    record = json.loads(path.read_text(encoding="utf-8"))
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    epochs = record["config"]["epochs"]
    if state["epoch"] != epochs:
        raise ResumeError(f"{folder}: {state['epoch']} of {epochs} epochs done, train on")
    prefix = "module."  # under which AveragedModel keeps the network; beside it, a counter
    weights = {
        k.removeprefix(prefix): v for k, v in state["averaged"].items() if k.startswith(prefix)
    }
    return Finished(record, weights)


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Record what runs in this folder, or refuse it if something else does."""
    path = folder / RECORD
    if not path.exists():
        path.write_text(json.dumps({**plan, "commit": commit()}, indent=1), encoding="utf-8")
        return
    earlier = json.loads(path.read_text(encoding="utf-8"))
    before, now = ({**p["config"], "start": p.get("start")} for p in (earlier, plan))
    if different := sorted(k for k in now if now[k] != before.get(k)):
        raise ResumeError(f"{folder} holds a run with other settings: {', '.join(different)}")


def _epoch(
    run: Run,
    tasks: list[Task],
    loader: DataLoader[dict[str, Tensor]],
    weights: Mapping[str, float],
    title: str,
) -> dict[str, float]:
    """One pass over the data; mean loss per task."""
    run.student.train()
    device = next(run.student.parameters()).device
    sums = {task.name: 0.0 for task in tasks}
    bar = tqdm(loader, desc=title, unit="batch", mininterval=5.0)
    for batch in bar:
        losses = _step(run, tasks, {k: v.to(device) for k, v in batch.items()}, weights)
        for name, loss in losses.items():
            sums[name] += loss
        bar.set_postfix({name: f"{loss:.3f}" for name, loss in losses.items()}, refresh=False)
    return {name: total / len(loader) for name, total in sums.items()}


def _step(
    run: Run, tasks: list[Task], batch: Mapping[str, Tensor], weights: Mapping[str, float]
) -> dict[str, float]:
    image = batch["image"].contiguous(memory_format=torch.channels_last)
    raw = run.student(image)
    losses = {task.name: task.loss(raw[task.name], batch[task.name]) for task in tasks}
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.student.parameters(), 5.0)
    run.optimizer.step()
    run.schedule.step()
    run.averaged.update_parameters(run.student)
    return {name: float(loss.detach()) for name, loss in losses.items()}


def _save(path: Path, run: Run) -> None:
    """Under a temporary name first: a kill leaves the earlier checkpoint whole."""
    temporary = path.with_suffix(".part")
    torch.save(run.state(), temporary)
    temporary.replace(path)

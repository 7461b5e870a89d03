"""Finished runs that nobody had to train: random weights whose signals survive all layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mtl_core.model import OnnxModel
from mtl_training.config import DataConfig, NetworkConfig, ScheduleConfig, TrainConfig
from mtl_training.export import export, write_card
from mtl_training.learning import checkpoint
from mtl_training.learning.checkpoint import load_trained
from mtl_training.models import TorchModel
from mtl_training.network import Network, build_network
from mtl_training.settings import config_fields
from mtl_training.tasks.registry import TaskConfig, build_tasks

TEACHER = TrainConfig(
    name="teacher",
    seed=0,
    tasks=TaskConfig(("segmentation", "depth", "normals"), "nyu13", 77.8, 0.3, 12.0),
    network=NetworkConfig("teacher", 64, 96, ("depth", "segmentation")),
    data=(DataConfig("nyuv2", split="fit"),),
    schedule=ScheduleConfig(steps=4, batch_size=2),
)
"""A teacher of three tasks with two signals, at 64x96."""

STUDENT = replace(
    TEACHER,
    name="tiny",
    tasks=replace(TEACHER.tasks, names=("segmentation", "depth")),
    network=NetworkConfig("student", 64, 96),
)
"""A student of two of them."""


def network(config: TrainConfig, seed: int = 0) -> Network:
    """Returns a network whose normalisations fit its random weights and whose fusion is open."""
    torch.manual_seed(seed)
    built = build_network(config, build_tasks(config.tasks))
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    for fusion in getattr(built, "fusion", ()):
        torch.nn.init.normal_(fusion.projection.weight, std=0.3)
    n, size = 4, (config.network.height, config.network.width)
    signals = {name: encoder.empty(n, *size) for name, encoder in built.signals.items()}
    for signal in signals.values():
        signal[:] = torch.randint(0, 10, signal.shape)
    with torch.no_grad():
        built.train()(torch.randn(n, 3, *size), signals)
    return built.eval()


def run(
    folder: Path,
    config: TrainConfig,
    seed: int = 0,
    temperatures: Mapping[str, float] | None = None,
    **record: Any,
) -> Path:
    """Writes what training would leave of such a network, and returns the folder."""
    notes = {"config": config_fields(config), "commit": "0" * 40, "environment": {}, **record}
    weights = network(config, seed).state_dict()
    checkpoint.save(folder / checkpoint.WEIGHTS, weights, {"record": notes})
    (folder / checkpoint.RECORD).write_text(json.dumps(notes), encoding="utf-8")
    if temperatures:
        text = json.dumps(temperatures)
        (folder / checkpoint.TEMPERATURES).write_text(text, encoding="utf-8")
    return folder


def exported(config: TrainConfig, folder: Path, **record: Any) -> tuple[TorchModel, OnnxModel]:
    """Returns such a network in torch and as a file of the configuration's name in the folder."""
    model = TorchModel(load_trained(run(folder / "run", config, **record)))
    path = folder / f"{config.name}.onnx"
    export(model.network, model.card.input, path)
    write_card(path, model.card)
    return model, OnnxModel(path)

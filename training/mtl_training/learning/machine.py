"""On what a network is trained: what it learns is the same, but for rounding and batch norm."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed"]

_PACKAGES = ("lightning-fabric", "numpy", "opencv-python", "opencv-python-headless")


@dataclass(frozen=True)
class Machine:
    """Devices and processes.

    Attributes:
        accelerator: auto, cpu or cuda.
        devices: How many; more than one trains distributed (DDP), which on CPUs means processes.
            Losses are means over all devices' pixels; batch norm sees each device's share.
        precision: `32-true`; on GPUs `bf16-mixed` is faster. On CPUs without bf16 it is far slower.
        workers: Processes on each device that prepare images; 0 = the training process itself.
        save_every: Steps between checkpoints.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: Precision = "32-true"
    workers: int = 1
    save_every: int = 100

    def fabric(self) -> Fabric:
        """Lightning's view of it, launched: with several devices this process is one of many."""
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=self.devices,
            strategy="ddp" if self.devices > 1 else "auto",
            precision=self.precision,
        )
        fabric.launch()
        return fabric


def environment(machine: Machine) -> dict[str, Any]:
    """What a result may depend on beside configuration and commit."""
    return {
        "devices": f"{machine.devices} {machine.accelerator}",
        "precision": machine.precision,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,  # with its build, which pip's own record leaves out
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None

"""What a robot runs, with no ROS and no torch: labels, cards, geometry, metrics, runtime."""

import os

# A robot reports to nobody; ONNX Runtime reads this when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

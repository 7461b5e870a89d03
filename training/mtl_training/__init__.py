"""Training: data, tasks, networks, engine, export. Meets the robot in one ONNX file."""

__version__ = "0.1.0"

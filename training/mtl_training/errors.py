"""Errors of mtl_training: one root."""


class TrainingError(Exception):
    """Root of all errors that mtl_training raises on bad input."""


class ConfigError(TrainingError):
    """A configuration file has an unknown, missing or impossible setting."""


class DatasetError(TrainingError):
    """A data set is absent or damaged."""


class ResumeError(TrainingError):
    """A run folder belongs to another configuration."""


class ExportError(TrainingError):
    """An exported file does not compute what its network computes."""


class QuantizeError(TrainingError):
    """A network of which there is no int8 or float16 variant to be made."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, damaged, or of another network."""


class OutputError(TrainingError):
    """A result cannot be written: a full disk, or a folder without permission."""


class DivergedError(TrainingError):
    """A training whose losses or gradients are no longer numbers."""

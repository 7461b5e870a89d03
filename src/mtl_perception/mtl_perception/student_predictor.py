"""The predictor that is a student."""

from __future__ import annotations

from pathlib import Path

from mtl_core.errors import ModelError
from mtl_core.interface import DEPTH, SEGMENTATION, main_outputs
from mtl_core.predictor import OnnxPredictor
from mtl_core.providers import DEFAULT, Runtime


class StudentPredictor(OnnxPredictor):
    """What the node and `mtl-predict` run: a student that says classes and depth.

    Raises:
        ModelError: The file cannot be used, or is a teacher or the student of other tasks.
        ModelCardError: Its card is missing or of another kind.
    """

    NEEDED = (SEGMENTATION, DEPTH)

    def __init__(self, path: Path | str, runtime: Runtime = DEFAULT) -> None:
        """Load and check the model."""
        super().__init__(path, runtime)
        label_map, depth = self.card.label_map, self.card.depth
        said = main_outputs(self.model.outputs)
        fits = self.card.role == "student" and set(self.NEEDED) <= set(said)
        if not fits or label_map is None or depth is None:
            raise ModelError(
                f"{path}: expected a student with outputs {' and '.join(self.NEEDED)}, "
                f"got a {self.card.role} with {' and '.join(said)}"
            )
        self.label_map, self.depth = label_map, depth

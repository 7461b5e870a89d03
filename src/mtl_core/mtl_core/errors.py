"""Errors of mtl_core: one root, so that a caller can catch everything this package refuses."""


class MtlError(Exception):
    """Root of all errors that mtl_core raises on bad input."""


class LabelMapError(MtlError):
    """A label map is inconsistent or unknown."""


class ModelCardError(MtlError):
    """A model card is missing, of another schema, or contradicts itself."""


class ModelError(MtlError):
    """A model file cannot be read or does not fit its card."""


class ImageError(MtlError):
    """An image is empty, damaged, or of an unknown kind."""


class GeometryError(MtlError):
    """Camera geometry is impossible or does not fit the image."""


class MetricError(MtlError):
    """A prediction and its truth cannot be compared."""


class CloudError(MtlError):
    """A point cloud is damaged, or has no coordinates that can be read."""


class ScaleError(MtlError):
    """A measurement of depth says nothing about a prediction's scale.

    Args:
        reason: One word, to count by.
        text: What was got and what was expected.
    """

    def __init__(self, reason: str, text: str) -> None:
        """Keep the reason beside the text."""
        super().__init__(text)
        self.reason = reason

"""Means with intervals and paired tests: over seeds, and over images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from mtl_training.errors import TrainingError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over repetitions.

    Attributes:
        mean: Of the values.
        std: Their sample standard deviation (n - 1); NaN of one value.
        low: Lower end of the t interval of the mean; NaN of one value.
        high: Upper end likewise.
        count: How many values.
    """

    mean: float
    std: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Bootstrap:
    """A statistic's difference between two methods on the same images.

    Attributes:
        difference: statistic(a) - statistic(b) over all images.
        low: Lower end of the percentile interval of the difference.
        high: Upper end likewise.
        p: Two-sided: how rarely a resample falls on the other side of zero, doubled.
    """

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two methods over the same seeds.

    Attributes:
        difference: Of the one minus the other, seed by seed.
        wilcoxon: Two-sided p of Wilcoxon's signed-rank test.
        holm: That, with Holm's correction for the family that was compared together.
        t: Two-sided p of the paired t test, uncorrected.
    """

    difference: Estimate
    wilcoxon: float
    holm: float
    t: float


def estimate(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean, standard deviation and t interval of independent values.

    Raises:
        TrainingError: There is no value, or one is not finite.
    """
    sample = _checked(values)
    mean, count = float(sample.mean()), sample.size
    if count == 1:
        return Estimate(mean, np.nan, np.nan, np.nan, count)
    std = float(sample.std(ddof=1))
    reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * std / np.sqrt(count)
    return Estimate(mean, std, mean - reach, mean + reach, count)


def wilcoxon(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over pairs; 1 where no pair differs."""
    difference = _paired(a, b)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)


def paired_t(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Two-sided p of the paired t test; 1 where no pair differs, 0 where all differ by the same."""
    difference = _paired(a, b)
    if difference.size < 2:
        raise TrainingError("a paired t test needs two pairs or more, got 1")
    if np.ptp(difference) == 0:
        return 0.0 if difference[0] else 1.0
    return float(stats.ttest_1samp(difference, 0.0).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction for a family of tests; the keys keep their order."""
    ordered = sorted(p_values, key=p_values.__getitem__)
    factors = range(len(ordered), 0, -1)
    raised = [min(1.0, k * p_values[name]) for k, name in zip(factors, ordered, strict=True)]
    corrected = dict(zip(ordered, np.maximum.accumulate(raised).tolist(), strict=True))
    return {name: corrected[name] for name in p_values}


def compare(family: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]) -> dict[str, Comparison]:
    """Test a family of pairs (one method over the seeds, another over the same seeds)."""
    raw = {name: wilcoxon(a, b) for name, (a, b) in family.items()}
    corrected = holm(raw)
    return {
        name: Comparison(estimate(_paired(a, b)), raw[name], corrected[name], paired_t(a, b))
        for name, (a, b) in family.items()
    }


def paired_bootstrap(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    statistic: Callable[[npt.NDArray[np.generic]], float],
    rng: np.random.Generator,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Bootstrap:
    """Resample images, the same for both methods.

    Args:
        a: (n, ...) what one method did on each image: a score, sums, a confusion matrix.
        b: (n, ...) the other's, image by image.
        statistic: From such an array of any number of images to one number, such as the mIoU of
            the summed confusion matrices.
        rng: Source of the resamples.
        resamples: How many.
        confidence: Of the interval.

    Raises:
        TrainingError: The methods were not measured on the same number of images, or on none.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape[:1] != second.shape[:1] or first.shape[:1] in ((), (0,)):
        raise TrainingError(
            f"one row per image expected, the same images, got {first.shape} and {second.shape}"
        )
    picks = rng.integers(len(first), size=(resamples, len(first)))
    drawn = np.array([statistic(first[pick]) - statistic(second[pick]) for pick in picks])
    low, high = np.nanquantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    rarer = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    p = min(1.0, 2 * float(rarer + 1) / (resamples + 1))
    return Bootstrap(statistic(first) - statistic(second), float(low), float(high), p)


def _checked(values: npt.ArrayLike) -> Array:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise TrainingError(f"a list of finite values expected, got {sample!r}")
    return sample


def _paired(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    first, second = _checked(a), _checked(b)
    if first.shape != second.shape:
        raise TrainingError(f"as many values of each expected, got {first.size} and {second.size}")
    return first - second

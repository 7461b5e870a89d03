"""What a check has found, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Whether a rule is kept."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    SKIP = "SKIP"
    """It could not be checked."""


LAWS = {
    "topics": "what the layer subscribes arrives",
    "rule 1": "mask and points are of one size",
    "rule 2": "mask and confidence are packed rows of one byte a pixel",
    "rule 3": "mask, confidence and points have one stamp",
    "rule 4": "label_info is latched, comes once, and its classes have costs",
    "rule 5": "an unlabelled pixel has confidence 0 and no point",
    "rule 6": "each max_cost can be reached",
    "rule 7": "observation_sources is one string, and the costmap's clock is the images'",
    "encoding": "mask and confidence are mono8, points have x y z",
    "classes": "masks, label_info and costs speak of the same classes",
}
"""What is checked: the rules of the layer, as its code has them, and what it takes for granted."""


@dataclass(frozen=True)
class Verdict:
    """What was found of one law.

    Attributes:
        law: A key of `LAWS`.
        outcome: Whether it is kept.
        said: What was got, and what was expected.
    """

    law: str
    outcome: Outcome
    said: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.outcome.value}  {self.law:<8}  {LAWS[self.law]}: {self.said}"


def judged(law: str, faults: Iterable[str], kept: str) -> Verdict:
    """Return a verdict: failed with the faults if there are some, else passed.

    Args:
        law: A key of `LAWS`.
        faults: Each says what was got, and what was expected.
        kept: What there is to say if there are none.
    """
    found: Sequence[str] = list(dict.fromkeys(faults))
    outcome = Outcome.FAIL if found else Outcome.PASS
    return Verdict(law, outcome, "; ".join(found) or kept)


def skipped(law: str, reason: str) -> Verdict:
    """Return the verdict on what could not be checked."""
    return Verdict(law, Outcome.SKIP, f"not checked, {reason}")

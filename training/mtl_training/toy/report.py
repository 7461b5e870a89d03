"""What the points found, as numbers and as a table.

The error of a seed is the mean squared error against the noise-free functions on evenly spaced
inputs, mean over both tasks; each function has standard deviation 1. Each task's own error stands
beside it.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mtl_training.statistics import Comparison, compare, estimate
from mtl_training.toy.functions import PAIRS, TASKS
from mtl_training.toy.problem import TEST_INPUTS
from mtl_training.toy.settings import ToySettings
from mtl_training.toy.study import (
    CEILING,
    CONTROL,
    MULTI,
    SINGLE,
    TEACHER_STUDENT,
    Outcome,
)

Array = npt.NDArray[np.float64]

ARMS = (SINGLE, MULTI, TEACHER_STUDENT, CONTROL, CEILING)
RIVALS = (MULTI, SINGLE, CONTROL)
SIGNIFICANT = 0.05

ERROR = (
    f"test MSE: mean over both tasks ({', '.join(TASKS)}), against the noise-free functions, each "
    f"of standard deviation 1, at {TEST_INPUTS} evenly spaced inputs"
)


def seed_errors(outcome: Outcome, arm: str) -> Array:
    """(S,) errors of an arm, mean over the tasks."""
    mean: Array = np.asarray(outcome.errors[arm]).mean(axis=1)
    return mean


def summarise(
    settings: ToySettings, outcomes: Mapping[str, Outcome], commits: Sequence[str]
) -> dict[str, Any]:
    """What `summary.json` holds.

    Args:
        settings: Of the run.
        outcomes: By name of the point.
        commits: The revisions that measured them.
    """
    blocks = [_block(pair, outcomes[f"main-{pair}"]) for pair in settings.pairs]
    sweeps = _sweeps(outcomes)
    return {
        "seeds": settings.seeds,
        **blocks[0],
        "error": ERROR,
        "second_pair": blocks[1] if len(blocks) > 1 else None,
        "sweeps": sweeps,
        "hurts_when": [row for row in sweeps if row["verdict"] == "hurts"],
        "configuration": settings.fields(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "commits": list(commits),
    }


def _block(pair: str, outcome: Outcome) -> dict[str, Any]:
    by_task = np.stack([outcome.errors[arm] for arm in ARMS])
    return {
        "pair": pair,
        "formula": PAIRS[pair].formula,
        **_compared(by_task.mean(axis=-1)),
        "tasks": {name: _compared(by_task[..., task]) for task, name in enumerate(TASKS)},
    }


def _compared(errors: Array) -> dict[str, Any]:
    """Estimates of all arms, and tests of teacher-student against its rivals; errors (arms, S)."""
    by_arm = dict(zip(ARMS, errors, strict=True))
    ours = by_arm[TEACHER_STUDENT]
    names = {f"{TEACHER_STUDENT}_vs_{rival}": by_arm[rival] for rival in RIVALS}
    tests = compare({name: (ours, theirs) for name, theirs in names.items()})
    return {
        **{arm: dataclasses.asdict(estimate(values)) for arm, values in by_arm.items()},
        "p_values": {name: test.holm for name, test in tests.items()},
        "p_values_t": {name: test.t for name, test in tests.items()},
        "ratios": {name: float(ours.mean() / theirs.mean()) for name, theirs in names.items()},
        "ratios_of_medians": {
            name: float(np.median(ours) / np.median(theirs)) for name, theirs in names.items()
        },
    }


def _sweeps(outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Every arm with pseudo-labels against plain multi-task; each sweep is a family of tests."""
    arms = {f"{point}: {arm}": (outcome, arm) for point, outcome, arm in _sweep_arms(outcomes)}
    pairs = {name: (seed_errors(o, arm), seed_errors(o, MULTI)) for name, (o, arm) in arms.items()}
    families = [
        [n for n in pairs if _sweep_of(n) == s] for s in dict.fromkeys(map(_sweep_of, pairs))
    ]
    tests = {k: v for names in families for k, v in compare({n: pairs[n] for n in names}).items()}
    return [
        {
            "setting": name,
            TEACHER_STUDENT: float(ours.mean()),
            MULTI: float(theirs.mean()),
            "ratio": float(ours.mean() / theirs.mean()),
            "p": tests[name].holm,
            "verdict": verdict(tests[name]),
        }
        for name, (ours, theirs) in pairs.items()
    ]


def _sweep_arms(outcomes: Mapping[str, Outcome]) -> Iterator[tuple[str, Outcome, str]]:
    for point, outcome in outcomes.items():
        if not point.startswith("main-"):
            yield from ((point, outcome, arm) for arm in outcome.pseudo_errors)


def _sweep_of(setting: str) -> str:
    return setting.split(":")[0].split("-")[0]


def verdict(test: Comparison) -> str:
    """Of an error's difference: `helps`, `hurts` or `no difference`."""
    if test.holm >= SIGNIFICANT:
        return "no difference"
    return "hurts" if test.difference.mean > 0 else "helps"


def table(summary: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    parts = [
        "# Toy: two coupled functions, one rarely labelled",
        "Functions, sizes and settings are this project's own reconstruction; the source's are "
        "unpublished.",
        f"{summary['seeds']} seeds; {ERROR}. p: Wilcoxon's signed rank over the seeds with Holm's "
        "correction; in brackets the paired t test, uncorrected.",
        *_pair_part(summary),
        *(_pair_part(summary["second_pair"]) if summary["second_pair"] else ()),
        *(_sweep_part(summary) if summary["sweeps"] else ()),
    ]
    return "\n\n".join(parts) + "\n"


def _pair_part(block: Mapping[str, Any]) -> list[str]:
    lines = ["| arm | both tasks | " + " | ".join(TASKS) + " |", "|---|---|---|---|"]
    views = [block, *(block["tasks"][name] for name in TASKS)]
    for arm in ARMS:
        cells = [f"{view[arm]['mean']:.4f} ± {view[arm]['std']:.4f}" for view in views]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    for rival in RIVALS:
        name = f"{TEACHER_STUDENT}_vs_{rival}"
        lines.append(
            f"| against {rival} | {' | '.join(_test_cell(view, name) for view in views)} |"
        )
    return [f"## {block['pair']}: `{block['formula']}`", "\n".join(lines)]


def _test_cell(view: Mapping[str, Any], name: str) -> str:
    ratio, p, t = view["ratios"][name], view["p_values"][name], view["p_values_t"][name]
    return f"x {ratio:.2f}, p = {p:.1e} ({t:.1e})"


def _sweep_part(summary: Mapping[str, Any]) -> list[str]:
    lines = [
        f"| setting | {TEACHER_STUDENT} | {MULTI} | ratio | p (Holm) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['setting']} | {row[TEACHER_STUDENT]:.4f} | {row[MULTI]:.4f} | {row['ratio']:.2f} "
        f"| {row['p']:.1e} | {row['verdict']} |"
        for row in summary["sweeps"]
    ]
    hurting = [f"- {row['setting']} (x {row['ratio']:.2f})" for row in summary["hurts_when"]]
    found = "\n".join(hurting) or "nowhere in these sweeps"
    seeds = summary["configuration"]["sweep_seeds"]
    return [
        f"## Where pseudo-labels hurt (against multi-task, p < {SIGNIFICANT})",
        found,
        f"## Sweeps on {summary['pair']}, {seeds} seeds",
        "labels-N: N inputs have both labels; noise: sd added to the pseudo-labels; coupling-C: "
        "how much of the rare function follows from the common one; decay-D: weight decay of "
        "all students.",
        "\n".join(lines),
    ]

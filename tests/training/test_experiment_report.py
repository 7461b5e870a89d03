"""Arithmetic of reports: means, gains, tests over seeds and over images, curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mtl_core.card import DepthSpec
from mtl_training.errors import DatasetError
from mtl_training.evaluate import PerImage
from mtl_training.experiments.evaluation import rows_in
from mtl_training.experiments.results import Results, columns, gain, over_images
from mtl_training.experiments.tables import write_report
from mtl_training.tasks.depth import Depth
from mtl_training.tasks.registry import build_tasks
from tiny_study import tiny_experiment, with_sweep


@pytest.fixture(scope="module")
def tiny():
    return tiny_experiment()


def result(method, seed, miou, rmse, fraction=None):
    figures = {
        "segmentation": {"miou": miou},
        "depth": {"rmse": rmse, "absrel": rmse / 4, "delta1": None},
    }
    return {"method": method, "seed": seed, "fraction": fraction, "figures": figures,
            "pseudo": None}  # fmt: skip


def test_multi_task_gain_counts_each_task_once_towards_better(tiny):
    """Against 0.4 and 0.8: +25 % mIoU and 10 % less RMSE."""
    found = gain(
        result("a", 0, 0.5, 0.72), result("b", 0, 0.4, 0.8), columns(build_tasks(tiny.tasks))
    )
    assert found == pytest.approx((25 + 10) / 2)


def test_gain_is_paired_by_seed_and_lacking_figures_are_left_out(tiny, tmp_path):
    report = replace(tiny.report, compare=(), single_task="multi_task")
    single = replace(tiny, report=report)
    rows = [
        result("multi_task", 0, 0.4, 1.0),
        result("multi_task", 1, 0.5, 1.0),
        result("teacher_student", 1, 0.6, 1.0),
        result("teacher_student", 2, 0.9, 1.0),
    ]
    results = Results(single, rows, tmp_path)
    found = results.gain("teacher_student")
    assert (found.mean, found.count) == (pytest.approx(10.0), 1)
    by_name = {column.figure: column for column in results.columns}
    assert results.estimate("multi_task", by_name["delta1"]) is None
    assert results.estimate("multi_task", by_name["miou"]).mean == pytest.approx(0.45)


def measured(folder, name, rng, scale):
    """A result's evaluation of depth, whose errors grow with `scale`, and its figures."""
    depth = Depth(DepthSpec(0.3, 12.0, 77.8))
    errors = PerImage(depth.metric)
    for number in range(5):
        truth = rng.uniform(1, 5, (6, 8)).astype(np.float32)
        errors.add(str(number), truth * rng.uniform(1, 1 + scale, truth.shape), truth)
    path = folder / "stages" / name
    path.mkdir(parents=True)
    np.savez(
        path / "rows.npz", **{"depth.names": np.array(errors.names), "depth.rows": errors.rows}
    )
    return {"depth": errors.figures()}


def test_six_seeds_are_tested_over_seeds_and_corrected(tiny, tmp_path):
    """Wilcoxon's p of every figure, by scipy; Holm's correction written out."""
    rng = np.random.default_rng(3)
    rows = []
    for method, scale in (("multi_task", 0.8), ("teacher_student", 0.7)):
        for seed in range(6):
            name = f"evaluation-{method}-{seed}"
            figures = measured(tmp_path, name, rng, scale)
            rows.append({**result(method, seed, 0, 1), "figures": figures,
                         "evaluations": {"depth": name}})  # fmt: skip
    write_report(replace(tiny, seeds=tuple(range(6))), rows, tmp_path)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    figures = ("rmse", "absrel", "delta1")
    values = {f: np.array([row["figures"]["depth"][f] for row in rows]) for f in figures}
    p = {f: stats.wilcoxon(v[6:], v[:6]).pvalue for f, v in values.items()}
    held = 0.0
    for place, figure in enumerate(sorted(p, key=p.__getitem__)):
        held = max(held, min(1.0, (3 - place) * p[figure]))
        (row,) = (one for one in table.splitlines() if f"| 6 | {figure} " in one)
        difference = np.mean(values[figure][6:]) - np.mean(values[figure][:6])
        assert f"| {difference:+.4f} | teacher_student |" in row
        assert row.endswith(f"| {held:.4f} |")
    assert "too few" not in table
    assert "| multi_task | 6 | - |" in table


def test_evaluations_of_other_images_are_not_compared(tiny, tmp_path):
    rng = np.random.default_rng(3)
    for name in ("a", "b"):
        measured(tmp_path, name, rng, 0.5)
    path = tmp_path / "stages" / "b" / "rows.npz"
    names, errors = rows_in(path.parent, "depth")
    np.savez(path, **{"depth.names": np.array(names[::-1]), "depth.rows": errors})
    (column,) = (one for one in columns(build_tasks(tiny.tasks)) if one.figure == "rmse")
    with pytest.raises(DatasetError, match="other images"):
        over_images([tmp_path / "stages" / "a"], [path.parent], column, 10)


def test_curves_are_drawn_of_several_fractions(tiny, tmp_path):
    sweep = replace(with_sweep(tiny), report=replace(tiny.report, compare=()))
    rows = [
        result(method, seed, 0.3 + 0.1 * fraction + 0.01 * seed, 1.0, fraction)
        for method in ("multi_task", "teacher_student")
        for seed in (0, 1)
        for fraction in (0.25, 0.5)
    ]
    write_report(sweep, rows, tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 1000
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "segmentation labels on 25 %" in table
    assert "0.330 ±" in table

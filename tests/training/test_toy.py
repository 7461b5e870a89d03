"""Laws of the toy study; its sign is checked by the one slow test."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mtl_training.errors import ConfigError, ResumeError
from mtl_training.toy import arms, run
from mtl_training.toy.arms import Rank, Sees, Use
from mtl_training.toy.functions import COMMON, GRID, PAIRS, RARE, TASKS
from mtl_training.toy.problem import draw
from mtl_training.toy.run import run_toy
from mtl_training.toy.settings import Schedule, ToySettings
from mtl_training.toy.study import (
    CEILING,
    CONTROL,
    MULTI,
    SINGLE,
    TEACHER_STUDENT,
    Point,
    label_points,
    main_point,
    measure,
    plan,
)
from mtl_training.toy.train import Lessons, fit, predict, start

SMALL = ToySettings(
    seeds=3,
    sweep_seeds=2,
    both=5,
    rare_only=2,
    common_only=20,
    unlabelled=4,
    width=6,
    steps=12,
)
PAIR = SMALL.pairs[0]


def nothing():
    pass


@pytest.fixture(scope="module")
def drawn():
    return draw(PAIR, SMALL, range(3))


@pytest.fixture(scope="module")
def pseudo(drawn):
    return arms.teach(drawn[0], Sees.OTHER, SMALL, 2, nothing)


# ---- the functions and what is drawn from them ---------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("coupling", [0.0, 0.5, 1.0])
def test_each_function_has_mean_0_and_deviation_1(pair, coupling):
    truth = pair.truth(GRID, coupling)
    assert truth.mean(0) == pytest.approx([0, 0], abs=1e-9)
    assert truth.std(0) == pytest.approx([1, 1])


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_given_the_common_function_the_rare_one_is_simple_and_from_the_input_alone_it_is_not(pair):
    """Simple: a cubic in both explains it. Of the input alone not even a polynomial of degree 9."""
    truth = pair.truth(GRID)

    def unexplained(columns):
        fitted, *_ = np.linalg.lstsq(columns, truth[:, RARE], rcond=None)
        return np.mean((columns @ fitted - truth[:, RARE]) ** 2)

    common = truth[:, COMMON]
    coupled = np.stack([GRID**i * common**j for i in range(4) for j in range(4 - i)], axis=1)
    assert coupled.shape[1] == 10
    assert unexplained(coupled) < 0.02
    assert unexplained(np.vander(GRID, 10)) > 10 * unexplained(coupled)


def test_without_coupling_the_rare_function_does_not_follow_the_common_one():
    pair = PAIRS[PAIR]
    other = replace(pair, rare=lambda x, y2: y2**3)
    assert np.array_equal(pair.truth(GRID, 0.0), other.truth(GRID, 0.0))


def test_label_states_are_as_many_as_the_settings_say(drawn):
    labelled = drawn[0].labelled.numpy()
    rare, common = labelled[..., RARE], labelled[..., COMMON]
    assert (np.sum(rare & common, 1) == SMALL.both).all()
    assert (np.sum(rare & ~common, 1) == SMALL.rare_only).all()
    assert (np.sum(~rare & common, 1) == SMALL.common_only).all()
    assert (np.sum(~rare & ~common, 1) == SMALL.unlabelled).all()


def test_labels_are_the_truth_and_noise_of_the_given_size():
    many = replace(SMALL, both=4000, noise=0.3)
    problems, truth = draw(PAIR, many, [0])
    noise = (problems.labels - truth.at_inputs)[problems.labelled]
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)


def test_a_seed_does_not_depend_on_the_other_seeds(drawn):
    alone, _ = draw(PAIR, SMALL, [2])
    assert torch.equal(alone.labels[0].nan_to_num(9), drawn[0].labels[2].nan_to_num(9))
    assert not torch.equal(drawn[0].x[0], drawn[0].x[1])


# ---- the leak rule -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [RARE, COMMON], ids=TASKS)
@pytest.mark.parametrize("sees", Sees)
def test_no_teacher_sees_a_label_of_what_it_predicts(drawn, task, sees):
    changed = drawn[0].labels.clone()
    changed[..., task] += 7
    inputs = [
        arms.teacher_inputs(problems, task, sees)
        for problems in (drawn[0], replace(drawn[0], labels=changed))
    ]
    assert torch.equal(*inputs)


def test_the_control_sees_no_label_at_all(drawn):
    other = replace(drawn[0], labels=drawn[0].labels + 7)
    for task in (RARE, COMMON):
        shown = [arms.teacher_inputs(p, task, Sees.INPUT) for p in (drawn[0], other)]
        assert torch.equal(*shown)


def test_truth_outside_the_labels_reaches_no_arm_but_the_ceiling(monkeypatch):
    """The hidden truth of both tasks is changed wherever there is no label."""
    point = main_point(SMALL, PAIR)
    before = measure(point).example
    honest = arms.fully_labelled

    def elsewhere(pair, settings, seeds):
        problems, truth = draw(pair, settings, seeds)
        hidden = torch.where(problems.labelled, truth.at_inputs, truth.at_inputs + 5)
        return problems, replace(truth, at_inputs=hidden, at_test=truth.at_test + 5)

    monkeypatch.setattr("mtl_training.toy.study.draw", elsewhere)
    after = measure(point).example
    for arm in (SINGLE, MULTI, TEACHER_STUDENT, CONTROL):
        assert before[arm] == after[arm]
    assert before[CEILING] != after[CEILING]
    assert arms.fully_labelled is honest


def test_pseudo_labels_stand_where_the_other_task_only_is_labelled(drawn, pseudo):
    labelled = drawn[0].labelled
    expected = torch.stack(
        [
            labelled[..., COMMON] & ~labelled[..., RARE],
            labelled[..., RARE] & ~labelled[..., COMMON],
        ],
        dim=-1,
    )
    assert torch.equal(~torch.isnan(pseudo.values), expected)


# ---- the arms differ in their targets only -------------------------------------------------------


def test_all_arms_have_the_same_network_start_steps_and_inputs(drawn, pseudo, monkeypatch):
    seen = []

    def spy(parameters, lessons, schedule, advance):
        seen.append((parameters, lessons, schedule))
        return fit(parameters, lessons, schedule, advance)

    monkeypatch.setattr(arms, "fit", spy)
    problems = drawn[0]
    named = {
        SINGLE: arms.single_task(problems, RARE),
        MULTI: arms.multi_task(problems),
        TEACHER_STUDENT: arms.teacher_student(problems, pseudo, Use(), SMALL),
    }
    arms.train_students(problems, named, SMALL, nothing)
    ((parameters, lessons, schedule),) = seen
    assert schedule == SMALL.student
    for values in [lessons.x, *(tensor for layer in parameters for tensor in layer)]:
        first, second, third = values.chunk(3)
        assert torch.equal(first, second)
        assert torch.equal(first, third)


def test_teacher_student_has_the_labels_of_multi_task_and_more(drawn, pseudo):
    base = arms.multi_task(drawn[0])
    ours = arms.teacher_student(drawn[0], pseudo, Use(), SMALL)
    labelled = base.weights > 0
    assert torch.equal(labelled, drawn[0].labelled)
    assert torch.equal(ours.targets[labelled], base.targets[labelled])
    assert torch.equal(ours.weights[labelled], base.weights[labelled])
    assert (ours.weights > 0).sum() > labelled.sum()


def test_single_task_networks_share_the_labels_of_multi_task(drawn):
    alone = [arms.single_task(drawn[0], task).weights for task in (RARE, COMMON)]
    assert torch.equal(alone[0] + alone[1], arms.multi_task(drawn[0]).weights)
    assert not (alone[0] * alone[1]).any()


@pytest.mark.parametrize("use", [Use(weight=0), Use(keep=0)])
def test_pseudo_labels_without_weight_or_number_are_plain_multi_task(use):
    outcome = measure(Point("p", PAIR, SMALL, 2, {"none": use}))
    assert np.array(outcome.errors["none"]) == pytest.approx(np.array(outcome.errors[MULTI]))


@given(keep=st.floats(0, 1), rank=st.sampled_from(Rank))
def test_the_share_that_is_kept_is_the_share_that_was_asked_for(drawn, pseudo, keep, rank):
    kept = arms.kept(drawn[0], pseudo, Use(keep=keep, rank=rank), SMALL)
    there = ~torch.isnan(pseudo.values)
    assert not (kept & ~there).any()
    assert (abs(kept.sum(1) - keep * there.sum(1)) <= 0.5 + 1e-5).all()


def test_the_most_confident_are_kept(drawn, pseudo):
    kept = arms.kept(drawn[0], pseudo, Use(keep=0.5), SMALL)
    left = ~torch.isnan(pseudo.values) & ~kept
    worst = pseudo.spread.where(kept, -torch.inf).amax(1)
    best = pseudo.spread.where(left, torch.inf).amin(1)
    assert (worst <= best).all()


def test_noise_is_added_to_pseudo_labels_only(drawn, pseudo):
    plain, noisy = (
        arms.teacher_student(drawn[0], pseudo, Use(noise=noise), SMALL) for noise in (0.0, 1.0)
    )
    differs = plain.targets != noisy.targets
    assert torch.equal(differs, ~torch.isnan(pseudo.values))
    assert torch.equal(plain.weights, noisy.weights)


# ---- training ------------------------------------------------------------------------------------


def generators(*seeds):
    return [np.random.default_rng(seed) for seed in seeds]


def lessons_of(networks, inputs=1):
    drawn = torch.Generator().manual_seed(0)
    x = torch.rand(networks, 20, inputs, generator=drawn)
    targets = torch.rand(networks, 20, 2, generator=drawn)
    weights = (torch.rand(networks, 20, 2, generator=drawn) < 0.7).float()
    return Lessons(x, targets, weights)


def test_the_stack_computes_what_torch_layers_compute():
    ((w0, b0), (w1, b1), (w2, b2)) = parameters = start(generators(0, 1), SMALL, 1, 2)
    x = torch.linspace(-1, 1, 7)[None, :, None]
    for k, found in enumerate(predict(parameters, x)):
        values = torch.tanh(torch.nn.functional.linear(x[0], w0[k].T, b0[k, 0]))
        values = torch.tanh(torch.nn.functional.linear(values, w1[k].T, b1[k, 0]))
        expected = torch.nn.functional.linear(values, w2[k].T, b2[k, 0])
        torch.testing.assert_close(found, expected)


def test_networks_trained_together_become_what_each_becomes_alone():
    lessons, schedule = lessons_of(3), Schedule(steps=60, rate=0.02, decay=0.1)
    together = fit(start(generators(0, 1, 2), SMALL, 1, 2), lessons, schedule)
    for k in range(3):
        own = Lessons(lessons.x[[k]], lessons.targets[[k]], lessons.weights[[k]])
        alone = fit(start(generators(k), SMALL, 1, 2), own, schedule)
        for (w, b), (w_alone, b_alone) in zip(together, alone, strict=True):
            torch.testing.assert_close(w[[k]], w_alone, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(b[[k]], b_alone, rtol=1e-3, atol=1e-4)


def test_targets_without_weight_have_no_effect():
    lessons, schedule = lessons_of(2), Schedule(steps=10, rate=0.02, decay=0.0)
    other = replace(lessons, targets=lessons.targets.where(lessons.weights > 0, 50.0))
    first, second = (
        fit(start(generators(0, 1), SMALL, 1, 2), one, schedule) for one in (lessons, other)
    )
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


def test_training_is_deterministic_and_reports_each_step():
    steps = []
    point = main_point(SMALL, PAIR)
    first = measure(point, lambda: steps.append(1))
    assert first == measure(point)
    assert len(steps) == point.steps == 3 * SMALL.steps


def test_training_lowers_the_error():
    lessons = lessons_of(2)

    def loss(parameters):
        error = predict(parameters, lessons.x) - lessons.targets
        return float((lessons.weights * error.square()).sum())

    first = start(generators(0, 1), SMALL, 1, 2)
    assert loss(fit(first, lessons, Schedule(100, 0.02, 0.0))) < 0.8 * loss(first)


# ---- plan, settings and run ----------------------------------------------------------------------


def test_the_label_sweep_moves_inputs_between_states_and_keeps_their_number():
    for point in label_points(SMALL):
        settings = point.settings
        assert settings.inputs == SMALL.inputs
        assert settings.both + settings.common_only == SMALL.both + SMALL.common_only


def test_a_plan_names_each_point_once():
    names = [point.name for point in plan(ToySettings())]
    assert len(names) == len(set(names))
    assert names[:2] == ["main-quadratic", "main-exponential"]
    assert len(plan(replace(SMALL, sweep_seeds=0))) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seeds", 1),
        ("sweep_seeds", 1),
        ("sweep_seeds", 99),
        ("both", 0),
        ("steps", 0),
        ("noise", -0.1),
        ("noise", float("nan")),
        ("coupling", 1.5),
        ("student_rate", 0.0),
        ("teacher_decay", -1.0),
        ("pairs", ()),
        ("pairs", ("quadratic", "cubic")),
    ],
)
def test_settings_that_cannot_be_run_are_refused(field, value):
    with pytest.raises(ConfigError, match=field.split("_")[-1].rstrip("s")):
        replace(ToySettings(), **{field: value})


@pytest.mark.parametrize("wrong", [{"keep": 1.1}, {"weight": -1}, {"noise": -1}])
def test_uses_of_pseudo_labels_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="keep in"):
        Use(**wrong)


def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy") / "run"
    run_toy(out, SMALL, quiet())
    return out


def test_a_run_writes_summary_table_and_plots(finished):
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    assert summary["seeds"] == SMALL.seeds
    for block in (summary, summary["second_pair"], *summary["tasks"].values()):
        for arm in (SINGLE, MULTI, TEACHER_STUDENT):
            assert block[arm]["mean"] > 0
            assert block[arm]["std"] >= 0
        for rival in (MULTI, SINGLE):
            assert 0 <= block["p_values"][f"{TEACHER_STUDENT}_vs_{rival}"] <= 1
    assert summary["configuration"] == SMALL.fields()
    assert summary["sweeps"]
    assert all(row["verdict"] == "hurts" for row in summary["hurts_when"])
    assert MULTI in (finished / "table.md").read_text(encoding="utf-8")
    plots = {"arms.png", "fits.png", "labels.png", "noise.png", "sweeps.png"}
    assert {path.name for path in finished.glob("*.png")} == plots
    assert not list(finished.rglob("*.part*"))


def test_the_headline_is_the_mean_over_both_tasks(finished):
    summary = json.loads((finished / "summary.json").read_text(encoding="utf-8"))
    for arm in (SINGLE, MULTI, TEACHER_STUDENT):
        tasks = [summary["tasks"][name][arm]["mean"] for name in TASKS]
        assert summary[arm]["mean"] == pytest.approx(np.mean(tasks))


def test_a_finished_run_is_left_as_it_is(finished, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    monkeypatch.setattr(run, "measure", lambda *_: pytest.fail("measured again"))
    console = quiet()
    assert run_toy(finished, SMALL, console)["seeds"] == SMALL.seeds
    assert "nothing to do" in console.file.getvalue()
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_a_run_of_other_settings_is_refused(finished):
    with pytest.raises(ResumeError, match="steps differ"):
        run_toy(finished, replace(SMALL, steps=13), quiet())


def test_an_interrupted_run_goes_on_to_the_same_result(tmp_path, monkeypatch):
    settings = replace(SMALL, sweep_seeds=0)
    whole = run_toy(tmp_path / "whole", settings, quiet())
    broken = tmp_path / "broken"

    class Killed(BaseException):
        pass

    def killed_in_the_second(point, advance):
        if point.name == "main-exponential":
            raise Killed
        return measure(point, advance)

    with monkeypatch.context() as patch:
        patch.setattr(run, "measure", killed_in_the_second)
        with pytest.raises(Killed):
            run_toy(broken, settings, quiet())
    assert [path.name for path in (broken / "points").iterdir()] == ["main-quadratic.json"]
    assert not (broken / "summary.json").exists()
    # Somebody's edit in between may change what the commit is called.
    assert {**run_toy(broken, settings, quiet()), "commits": 0} == {**whole, "commits": 0}


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_point_is_named(tmp_path, text):
    (tmp_path / "points").mkdir()
    path = tmp_path / "points" / f"main-{PAIR}.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ResumeError, match=path.name):
        run_toy(tmp_path, SMALL, quiet())


@pytest.mark.slow
def test_pseudo_labels_help_where_labels_are_rare_and_coupled():
    """A reduced study; the full one is `mtl-train toy`."""
    settings = ToySettings(seeds=6, sweep_seeds=0, steps=1000)
    errors = measure(main_point(settings, "quadratic")).errors
    ours, multi, single = (np.mean(errors[arm]) for arm in (TEACHER_STUDENT, MULTI, SINGLE))
    assert ours < 0.75 * multi
    assert ours < 0.5 * single

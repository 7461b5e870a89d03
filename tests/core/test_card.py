"""The model card: survives its file, refuses what it does not know."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_student
from mtl_core.card import SCHEMA, DepthSpec, InputSpec, ModelCard
from mtl_core.errors import ModelCardError

CARD = tiny_student.card()


@given(
    name=st.text(),
    licence=st.text(),
    data=st.lists(st.text()),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    focal=st.floats(1, 1e4),
    power=st.dictionaries(st.text(), st.integers(-2, 2).filter(bool)),
    sibling=st.text(),
)
def test_a_card_survives_its_text(name, licence, data, metrics, focal, power, sibling):
    card = replace(
        CARD,
        name=name,
        licence=licence,
        data=tuple(data),
        metrics=metrics,
        depth=DepthSpec(0.5, 8.0, focal),
        power=power,
        sibling=sibling,
    )
    assert ModelCard.from_json(card.to_json()) == card


def changed(**fields):
    return json.dumps(json.loads(CARD.to_json()) | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1]", "must be a JSON object"),
        (changed(schema=SCHEMA + 1), f"schema {SCHEMA + 1}, expected {SCHEMA}"),
        (changed(schema="1"), "schema '1', expected 1"),
        (changed(temperature=1.0), "missing or unknown: temperature"),
        (changed(role="referee"), "got 'referee'"),
        (changed(input=3), "InputSpec must be an object, got 3"),
        (changed(depth={"min_m": 1}), "DepthSpec: fields missing or unknown: canonical_fx, max_m"),
        (changed(label_map={"name": "m"}), "not a label map"),
        (changed(metrics={"miou": "good"}), "wrong field"),
        (changed(data="abc"), "data must be a list of texts, got 'abc'"),
        (changed(power={"depth": 0}), "powers must be whole numbers but 0, got {'depth': 0}"),
        (changed(power={"depth": 0.5}), "powers must be whole numbers"),
        (changed(power=["depth"]), "wrong field"),
        (changed(input={"height": "x", "width": 3, "mean": [], "std": []}), "of 32, got xx3"),
    ],
)
def test_a_card_that_is_not_understood_is_refused(text, message):
    with pytest.raises(ModelCardError, match=message):
        ModelCard.from_json(text)


def test_a_card_without_a_field_is_refused_and_the_field_named():
    fields = json.loads(CARD.to_json())
    del fields["label_map"]
    with pytest.raises(ModelCardError, match="missing or unknown: label_map"):
        ModelCard.from_json(json.dumps(fields))


def test_a_card_of_before_powers_has_those_of_the_tasks_of_then():
    fields = json.loads(CARD.to_json())
    del fields["power"]
    assert ModelCard.from_json(json.dumps(fields)).power == {"depth": -1, "inverse_depth": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InputSpec(240, 320, (0, 0, 0), (1, 1, 1)), "multiples of 32, got 240x320"),
        (lambda: InputSpec(64.0, 64, (0, 0, 0), (1, 1, 1)), r"multiples of 32, got 64\.0x64"),
        (lambda: InputSpec(64, 64, (0, 0, 0), (1, 0, 1)), "std > 0"),
        (lambda: DepthSpec(2.0, 1.0, 300.0), "min_m < max_m"),
        (lambda: DepthSpec(1.0, 2.0, 0.0), "canonical_fx > 0"),
    ],
)
def test_an_impossible_interface_is_refused(make, message):
    with pytest.raises(ModelCardError, match=message):
        make()

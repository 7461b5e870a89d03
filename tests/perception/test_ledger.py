"""Answers are matched to frames by stamp, first come first served."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtl_perception.ledger import Ledger

NEEDED = ("mask", "depth")


def ledger(*stamps: int) -> Ledger:
    """A ledger of frames that left at the times 0, 1, 2, ..."""
    made = Ledger(NEEDED)
    for time_s, stamp in enumerate(stamps):
        made.sent(stamp, float(time_s))
    return made


def test_a_frame_is_answered_when_its_last_needed_result_has_come() -> None:
    made = ledger(7)
    made.came("mask", 7, 1.5)
    assert made.latencies_s() == [None]
    made.came("depth", 7, 2.5)
    assert made.latencies_s() == [2.5]


def test_other_topics_and_other_stamps_are_no_answer() -> None:
    made = ledger(7)
    made.came("overlay", 7, 1.0)
    made.came("mask", 7, 1.0)
    made.came("depth", 8, 1.0)
    assert (made.frames_sent, made.frames_answered) == (1, 0)


def test_with_a_repeated_stamp_the_first_result_is_the_first_frames() -> None:
    made = ledger(7, 7)
    for time_s in (10.0, 20.0):
        made.came("mask", 7, time_s)
        made.came("depth", 7, time_s)
        assert made.frames_answered == time_s // 10
    assert made.latencies_s() == [10.0, 19.0]


@given(
    stamps=st.lists(st.integers(0, 3), max_size=8),
    answers=st.lists(st.tuples(st.sampled_from(NEEDED), st.integers(0, 3)), max_size=20),
)
def test_never_more_frames_are_answered_than_each_topic_has_results(
    stamps: list[int], answers: list[tuple[str, int]]
) -> None:
    made = ledger(*stamps)
    for topic, stamp in answers:
        made.came(topic, stamp, 100.0)
    expected = sum(
        min(stamps.count(stamp), *(answers.count((topic, stamp)) for topic in NEEDED))
        for stamp in set(stamps)
    )
    assert made.frames_answered == expected

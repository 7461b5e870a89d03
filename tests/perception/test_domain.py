"""A claimed DDS domain is nobody else's."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from mtl_perception import domain
from mtl_perception.domain import DOMAINS, own_domain
from mtl_perception.errors import PerceptionError


def test_domains_claimed_at_the_same_time_differ() -> None:
    with ExitStack() as stack:
        claimed = [stack.enter_context(own_domain()) for _ in range(20)]
    assert len(set(claimed)) == 20
    assert set(claimed) <= set(DOMAINS)


def test_when_none_is_left_that_is_said_until_one_is_free_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with own_domain() as only:
        monkeypatch.setattr(domain, "DOMAINS", range(only, only + 1))
        with pytest.raises(PerceptionError, match=f"from {only} to {only} are in use"):
            own_domain().__enter__()
    with own_domain() as again:
        assert again == only

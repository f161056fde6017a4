"""Interest per topic: decayed counts that come back as they should, in a few slots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.changes.accounts import interests
from stream_app.changes.types import Interest
from stream_app.events.batch import Kind
from stream_app.events.instants import DAY, HOUR
from stream_app.features.table import TOPIC_SLOTS
from stream_app.settings import Settings
from tests.engine.scenario import Run
from tests.features.build import START_US, event


def followed(run: Run, at_us: int) -> list[Interest]:
    return interests(run.table.live[:1], run.table.topic_names, np.array([at_us]))[0]


@given(
    st.lists(
        st.tuples(st.integers(0, 200 * DAY), st.sampled_from("abcdef")), min_size=1, max_size=12
    ),
    st.integers(0, 20 * DAY),
)
@settings(max_examples=40)
def test_interest_is_the_decayed_number_of_events(
    happened: list[tuple[int, str]], later: int
) -> None:
    """Fast with a half-life of one day, slow of 28, late events and moved references included."""
    run = Run(Settings())
    run.step(
        *(
            event(at_us=START_US + age, topics=[topic], id_=f"{i}")
            for i, (age, topic) in enumerate(happened)
        )
    )
    at_us = START_US + max(age for age, _ in happened) + later
    found = {interest.topic: interest for interest in followed(run, at_us)}
    assert set(found) == {topic for _, topic in happened}
    for topic, interest in found.items():
        ages = [(at_us - START_US - age) / DAY for age, name in happened if name == topic]
        assert interest.recent == pytest.approx(sum(2**-age for age in ages), abs=6e-4)
        assert interest.usual == pytest.approx(sum(2 ** (-age / 28) for age in ages), abs=6e-4)


def test_a_seventh_topic_replaces_the_one_with_the_least_slow_interest() -> None:
    run = Run(Settings())
    for i, topic in enumerate("abcdef"):
        for n in range(2 if topic != "c" else 1):
            run.step(event(at_us=START_US + i * HOUR + n, topics=[topic]))
    assert len(followed(run, START_US + DAY)) == TOPIC_SLOTS
    run.step(event(at_us=START_US + DAY, topics=["g"]))
    found = {interest.topic: interest for interest in followed(run, START_US + DAY)}
    assert set(found) == set("abdefg")
    assert (found["g"].recent, found["g"].usual) == (1.0, 1.0)  # nothing is left of the other's


def test_an_old_interest_is_worth_more_than_a_passing_one() -> None:
    run = Run(Settings())
    run.step(*(event(at_us=START_US + n, topics=["old"]) for n in range(5)))
    run.step(*(event(at_us=START_US + 9 * DAY + n, topics=[t]) for n, t in enumerate("abcdef")))
    assert "old" in {i.topic for i in followed(run, START_US + 10 * DAY)}


def test_an_event_counts_once_for_each_of_its_topics() -> None:
    run = Run(Settings())
    run.step(event(topics=["a", "b", "a"]))
    assert {i.topic: i.recent for i in followed(run, START_US)} == {"a": 1.0, "b": 1.0}


def test_what_nobody_did_is_no_interest() -> None:
    run = Run(Settings())
    run.step(event(Kind.PASSIVE, topics=["a"]))
    assert followed(run, START_US) == []


def test_a_name_past_the_limit_is_called_other() -> None:
    run = Run(Settings(worker={"max_topics": 1}))
    run.step(event(topics=["a", "b"]))
    assert sorted(i.topic for i in followed(run, START_US)) == ["(other)", "a"]


def test_interests_come_strongest_first() -> None:
    run = Run(Settings())
    run.step(
        event(topics=["old", "both"], id_="1"),
        event(topics=["old"], id_="2"),
        event(at_us=START_US + 5 * DAY, topics=["both", "new"]),
    )
    found = followed(run, START_US + 5 * DAY)
    assert [i.topic for i in found] == ["both", "new", "old"]
    assert np.all(np.diff([i.recent for i in found]) <= 0)

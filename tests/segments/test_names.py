"""Names: true, different, and kept while they are true."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.clusters import scale_of
from stream_app.segments.names import names_of, sentence_of
from stream_app.segments.traits import Traits, traits_of
from stream_app.segments.words import EVERY, QUALIFIERS, TELLING
from tests.segments.groups import DIMENSIONS, UNTOUCHED, USUAL, WIDTH, accounts, found

Floats = npt.NDArray[np.float64]

groups = st.integers(1, 12).flatmap(
    lambda k: arrays.arrays(np.float64, (k, WIDTH), elements=st.sampled_from([0.0, 0.4, 2.0, 5.0]))
)


def traits(*of: Floats) -> list[Traits]:
    return traits_of(*found(*of))


def named(before: str = "", given: str = "", **values: float) -> str:
    """Name of a group with these values beside one of usual accounts."""
    both = traits(accounts(**values), accounts(seed=1))
    old, users = {1: before} if before else {}, {1: given} if given else {}
    return names_of(both, old, users)[1]


@given(groups)
def test_any_segments_get_names_that_differ_and_a_sentence(centres: Floats) -> None:
    some = traits(*centres[:, None])
    names = names_of(some, {}, {})
    assert sorted(names) == [t.id for t in some]
    assert len(set(names.values())) == len(some)
    assert all(name.strip() == name != "" for name in names.values())
    sentences = [sentence_of(t, names[t.id]) for t in some]
    assert all(text.endswith(".") and text[0].isupper() for text in sentences)
    assert names_of(traits(*centres[:, None]), {}, {}) == names


@given(groups, groups)
def test_names_differ_also_where_some_are_kept(before: Floats, now: Floats) -> None:
    old = names_of(traits(*before[:, None]), {}, {})
    names = names_of(traits(*now[:, None]), old, {})
    assert len(set(names.values())) == len(now)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Pricing researchers", {"web_visits_28d": 60.0, "pricing_pages_28d": 20.0,
                                 "downloads_decision_28d": 2.0}),
        ("Late-stage evaluators", {"downloads_decision_28d": 3.0}),
        ("Content readers", {"web_visits_28d": 60.0, "downloads_early_28d": 8.0}),
        ("Newsletter readers", {"email_opens_28d": 12.0, "email_clicks_28d": 3.0}),
        ("E-mail responders", {"email_clicks_28d": 3.0}),
        ("Product explorers", {"web_visits_28d": 30.0, "product_pages_28d": 15.0}),
        ("Heavy site users", {"web_visits_7d": 60.0, "web_visits_28d": 200.0,
                              "product_pages_28d": 20.0}),
        ("Active this week", {"web_visits_7d": 9.0, "web_visits_28d": 12.0}),
        ("Gone quiet", {"web_visits_7d": 0.4, "silence_days": 20.0}),
        ("Lapsed", {"web_visits_7d": 0.1, "silence_days": 90.0}),
        ("Not yet engaged", UNTOUCHED),
        ("Rare visitors", {"web_visits_7d": 0.1, "web_visits_28d": 0.5}),
    ],
)  # fmt: skip
def test_a_segment_is_called_after_what_sets_it_apart(name: str, values: dict[str, float]) -> None:
    assert named(**values) == name


def test_a_word_is_used_only_where_it_is_true() -> None:
    """To come rarely is not to have gone quiet, and few pages are not heavy use, however much they
    differ from what others do."""
    assert named(web_visits_7d=1.0, web_visits_28d=4.0, silence_days=9.0) == "Occasional visitors"
    assert "Heavy" not in named(web_visits_7d=4.0, web_visits_28d=16.0)
    assert named(contacts_28d=9.0) == named() == "Regular visitors"


def test_accounts_of_which_nobody_did_anything_have_not_lapsed() -> None:
    lapsed = UNTOUCHED | {"web_visits_28d": 0.02}
    assert named(**UNTOUCHED) == "Not yet engaged"
    assert named(**lapsed) == "Lapsed"


def test_the_silence_of_those_who_never_spoke_is_no_figure() -> None:
    snapshot, recent = found(accounts(**UNTOUCHED), accounts(seed=1))
    scaled = scale_of(recent)
    untouched, _ = traits_of(snapshot, scaled.held(recent))  # scaled and back, as a trainer does
    assert untouched.measures["untouched"] == 1.0
    assert "silence" not in sentence_of(untouched, "Not yet engaged")


def test_in_a_young_history_a_pace_is_judged_beside_that_of_others() -> None:
    """After ten days a month's sum is hardly more than a week's, for everybody."""
    steady = {"web_visits_7d": 8.0, "web_visits_28d": 10.0}
    silent = {"web_visits_7d": 2.5, "web_visits_28d": 10.0, "silence_days": 12.0}
    some = traits(accounts(**silent), *(accounts(seed=i, **steady) for i in (1, 2, 3)))
    names = names_of(some, {}, {})
    assert names[1] == "Gone quiet"
    assert names[2].startswith("Regular visitors")


def test_who_comes_regularly_was_here_lately() -> None:
    assert named(silence_days=9.0) == "Occasional visitors"


def test_two_alike_are_told_apart_by_what_they_differ_in() -> None:
    strong = accounts(pricing_pages_28d=60.0, web_visits_28d=100.0)
    weak = accounts(pricing_pages_28d=20.0, web_visits_28d=100.0)
    names = names_of(traits(weak, strong, *(accounts(seed=i) for i in (1, 2, 3))), {}, {})
    assert names[2] == "Pricing researchers"
    assert names[1] == "Heavy site users"
    assert names[4] != names[3]
    assert names[4].startswith(f"{names[3]}, ")


PRICES = {"web_visits_28d": 60.0, "pricing_pages_28d": 20.0}


def test_a_name_stays_while_it_is_true() -> None:
    """`Regular visitors` begins at 8 pages: a name does not change with every page around that."""
    assert named(before="Regular visitors", web_visits_28d=7.0) == "Regular visitors"
    assert named(before="Occasional visitors", web_visits_28d=9.0) == "Occasional visitors"
    heavy = {"web_visits_28d": 40.0, "product_pages_28d": 25.0}
    assert named(before="Heavy product explorers", **heavy) == "Heavy product explorers"
    assert named(**heavy) == "Product explorers"


@pytest.mark.parametrize(
    ("before", "values", "now"),
    [
        ("Newsletter readers", PRICES, "Pricing researchers"),
        ("Regular visitors", PRICES, "Pricing researchers"),
        ("Gone quiet", {"web_visits_7d": 0.1, "silence_days": 90.0}, "Lapsed"),
        ("Pricing researchers", USUAL, "Regular visitors"),
        ("A word of an older program", PRICES, "Pricing researchers"),
        ("Pricing researchers, fewer visits", PRICES, "Pricing researchers"),
    ],
)
def test_a_name_goes_when_it_is_not_true_any_more(
    before: str, values: dict[str, float], now: str
) -> None:
    assert named(before=before, **values) == now


def test_what_tells_two_alike_apart_stays_too() -> None:
    both = traits(accounts(web_visits_28d=12.0), accounts(seed=1), accounts(seed=2))
    first = names_of(both, {}, {})
    assert any("," in name for name in first.values())
    assert names_of(both, first, {}) == first


def test_a_name_that_a_person_gave_is_kept_and_not_given_twice() -> None:
    assert named(given="Our friends", **PRICES) == "Our friends"
    both = traits(accounts(**PRICES), accounts(seed=1))
    names = names_of(both, {}, {2: "Pricing researchers"})
    assert names[2] == "Pricing researchers"
    assert names[1] not in ("Pricing researchers", "")


def test_the_sentence_begins_with_what_the_name_means_and_gives_figures() -> None:
    found_ = traits(accounts(**PRICES), accounts(seed=1))[0]
    text = sentence_of(found_, "Pricing researchers")
    assert text.startswith("Study prices, with 20 pricing pages (average account: ")
    assert "page views this month" in text


def test_the_sentence_says_what_they_do_less() -> None:
    found_ = traits(accounts(web_visits_7d=0.1, web_visits_28d=0.5), accounts(seed=1))[0]
    assert " only 0.5 page views this month (" in sentence_of(found_, "Rare visitors")


def test_a_segment_without_peculiarities_is_said_to_have_none() -> None:
    found_ = traits(accounts())[0]
    assert sentence_of(found_, "Regular visitors").endswith("average account in every respect.")


def test_traits_come_from_recent_vectors_not_from_a_centre_that_lags_behind() -> None:
    snapshot, recent = found(accounts(**PRICES), accounts(seed=1))
    later = recent.copy()
    later[:60, DIMENSIONS.index("pricing_pages_28d")] = np.log1p(40.0)
    assert traits_of(snapshot, later)[0].measures["pricing_pages_28d"] == pytest.approx(40.0)


def test_without_recent_vectors_the_centre_is_all_there_is() -> None:
    snapshot, _ = found(accounts(**PRICES), accounts(seed=1))
    [first, _] = traits_of(snapshot, np.empty((0, WIDTH)))
    assert first.measures["pricing_pages_28d"] == pytest.approx(20.0, rel=0.1)
    assert names_of([first], {}, {}) == {1: "Pricing researchers"}


def test_every_dimension_of_the_model_has_words() -> None:
    names = {dimension.name for dimension in MODEL_VECTOR}
    assert set(TELLING) == names
    assert set(QUALIFIERS) == names


def test_every_word_can_be_judged_and_tells_itself_from_the_others() -> None:
    measures = traits(accounts())[0].measures
    assert all(bound.measure in measures for word in EVERY for bound in word.bounds)
    assert len({word.name for word in EVERY}) == len(EVERY)
    assert not any("," in word.name for word in EVERY)

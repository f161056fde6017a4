"""Rules: few, in plain units, exactly one for each account, and measured on other accounts."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.tree import DecisionTreeClassifier

from stream_app.segments.rules import plain, rules_of
from stream_app.segments.tree import grow
from tests.segments.groups import DIMENSIONS, WIDTH, accounts, found

PRICES = {"web_visits_28d": 60.0, "pricing_pages_28d": 20.0}
MAILS = {"email_opens_28d": 12.0, "web_visits_28d": 1.0}


def test_rules_say_what_the_model_says() -> None:
    snapshot, recent = found(accounts(**PRICES), accounts(seed=1), accounts(seed=2, **MAILS))
    rules = rules_of(snapshot, recent, seed=7)
    assert rules.fidelity == 1.0
    assert rules.say(plain(recent)).tolist() == [0] * 60 + [1] * 60 + [2] * 60


def test_rules_are_sentences_with_few_conditions_and_readable_thresholds() -> None:
    snapshot, recent = found(accounts(**PRICES), accounts(seed=1))
    sentences = rules_of(snapshot, recent, seed=7).sentences(["Pricing researchers", "Others"])
    assert len(sentences) == 2
    assert any(s.endswith(": Pricing researchers (100 %)") for s in sentences)
    digits = re.findall(r"(?:<|>=) ([\d.]+):", " ".join(sentences))
    assert len(set(digits)) == 1
    assert len(digits[0].replace(".", "").strip("0")) <= 2


def test_a_tree_of_three_questions_has_eight_leaves_at_most() -> None:
    random = np.random.default_rng(1)
    values, labels = random.normal(size=(500, 4)), random.integers(0, 8, 500)
    leaves = grow(values, labels)
    assert len(leaves) <= 8
    assert sum(leaf.size for leaf in leaves) == 500


def test_three_signs_that_only_say_something_together_are_found() -> None:
    """A usual tree asks for the hint first, which alone says more than any of the three."""
    random = np.random.default_rng(2)
    signs = random.integers(0, 2, (1_000, 3)).astype(float)
    labels = (signs.sum(axis=1) % 2).astype(np.int64)
    hint = np.where(random.random(1_000) < 0.7, labels, 1 - labels)
    values = np.column_stack([signs, hint])
    assert sum(leaf.agreeing for leaf in grow(values, labels)) == 1_000
    usual = DecisionTreeClassifier(max_depth=3, random_state=0).fit(values, labels)
    assert usual.score(values, labels) < 0.9


signs = st.integers(4, 40).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float64, (n, 4), elements=st.sampled_from([0.0, 1.0])),
        arrays.arrays(np.int64, n, elements=st.integers(0, 3)),
    )
)


@settings(max_examples=50)
@given(signs)
def test_no_tree_over_the_same_questions_agrees_more_often(
    given_: tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]],
) -> None:
    values, labels = given_
    asked = {column for leaf in grow(values, labels) for column in leaf.bounds}
    right = sum(leaf.agreeing for leaf in grow(values, labels))
    assert right == brute_force(values, labels, sorted(asked), 3)


def brute_force(
    values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], columns: list[int], depth: int
) -> int:
    """Rows that the best tree over yes-or-no columns puts right."""
    best = int(np.bincount(labels, minlength=1).max())
    for column in columns if depth else ():
        low = values[:, column] < 0.5
        halves = [(values[half], labels[half]) for half in (low, ~low)]
        best = max(best, sum(brute_force(*half, columns, depth - 1) for half in halves))
    return best


@settings(max_examples=50)
@given(st.integers(0, 1_000), st.integers(1, 60), st.integers(1, 8))
def test_exactly_one_leaf_speaks_of_each_row(seed: int, count: int, kinds: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 5, (count, 3)).astype(float)
    labels = random.integers(0, kinds, count)
    leaves = grow(values, labels)
    spoken = np.zeros(count, np.int64)
    for leaf in leaves:
        mine = leaf.holds(values)
        assert mine.sum() == leaf.size
        assert (labels[mine] == leaf.label).sum() == leaf.agreeing
        spoken += mine
    assert (spoken == 1).all()
    assert grow(values, labels) == leaves


def test_a_single_segment_needs_no_condition() -> None:
    snapshot, recent = found(accounts())
    assert rules_of(snapshot, recent, seed=7).sentences(["All"]) == ["any account: All (100 %)"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_accounts_say_nothing(count: int) -> None:
    snapshot, _ = found(accounts(**PRICES), accounts(seed=1))
    rules = rules_of(snapshot, accounts(count), seed=7)
    assert rules.fidelity is None
    assert rules.sentences(["a", "b"]) == []


def test_a_range_is_written_as_one() -> None:
    groups = [accounts(seed=i, web_visits_28d=pages) for i, pages in enumerate((2.0, 20.0, 200.0))]
    snapshot, recent = found(*groups)
    only = recent.copy()
    only[:, [j for j in range(WIDTH) if DIMENSIONS[j] != "web_visits_28d"]] = 0.0
    sentences = rules_of(snapshot, only, seed=7).sentences(["few", "some", "many"])
    assert any(s.startswith("page views this month from ") and "some" in s for s in sentences)

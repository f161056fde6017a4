"""What `dlq` says to people: numbers, what was left and why, and what cannot be taken back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stream_app.cli import dlq
from stream_app.cli.dlq_list import show_listing
from stream_app.cli.dlq_replay import report_of, show_tally
from stream_app.streams.letterbox import Fate
from stream_app.streams.redelivery import INCOMPLETE, NOT_READ, Refusal, Tally


def said(capsys: pytest.CaptureFixture[str], tally: Tally, *, dry_run: bool = False) -> list[str]:
    show_tally(tally, dry_run=dry_run)
    return capsys.readouterr().out.splitlines()


def refusing(**reasons: int) -> Tally:
    """The first 20 are named, as a replay does."""
    names = [name for name, count in reasons.items() for _ in range(count)]
    refusals = [Refusal(f"visits:0:{n}", name, "why") for n, name in enumerate(names)]
    return Tally(refused=Counter(reasons), refusals=refusals[:20])


def test_one_letter_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    fates = Counter({fate: 1 for fate in Fate if fate is not Fate.OPEN})
    one = Tally(ready=1, sent=1, forced=1, fates=fates, control_left=1, erasures=1)
    assert said(capsys, one) == [
        "1 letter was put back on its topic",
        "1 of them erases an account or a contact",
        "1 of them will be refused again",
        "left: 1 was replayed before",
        "left: 1 is uncertain: an earlier replay of it did not come to its end",
        "  look whether it arrived; --again sends it once more",
        "left: 1 belongs to an account that was erased since",
        "left: 1 of account-control, which may erase; an id or --topic account-control sends it",
    ]
    assert said(capsys, one, dry_run=True)[0] == "1 letter would be put back on its topic"


def test_more_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    fates = Counter({fate: 2_000 for fate in Fate if fate is not Fate.OPEN})
    two = Tally(ready=4, sent=2, forced=2, fates=fates, control_left=2, erasures=2)
    assert said(capsys, two) == [
        "2 letters were put back on their topics",
        "2 letters were not: not wanted, or just taken",
        "2 of them erase an account or a contact",
        "2 of them will be refused again",
        "left: 2,000 were replayed before",
        "left: 2,000 are uncertain: an earlier replay of them did not come to its end",
        "  look whether they arrived; --again sends them once more",
        "left: 2,000 belong to accounts that were erased since",
        "left: 2 of account-control, which may erase; an id or --topic account-control sends them",
    ]


def test_force_is_offered_only_where_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, refusing(not_json=2, **{NOT_READ: 1, INCOMPLETE: 2}))
    assert "left: 2 would be refused again (--force sends them)" in lines
    assert "left: 3 cannot be sent, not even with --force" in lines
    never = "\n".join(said(capsys, refusing(**{NOT_READ: 1})))
    assert "left: 1 cannot be sent" in never
    assert "would be refused" not in never


def test_a_list_that_stops_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the first 20 of 21" in said(capsys, refusing(not_json=21))
    assert "the first" not in "\n".join(said(capsys, refusing(not_json=20)))
    ids = [f"visits:0:{n}" for n in range(20)]
    many = Tally(fates=Counter({Fate.UNCERTAIN: 21}), uncertain=ids)
    assert "  the first 20 of 21" in said(capsys, many)


def test_programs_are_told_of_erasures_too() -> None:
    report = report_of(Tally(ready=3, control_left=2, erasures=1), dry_run=True)
    assert (report["control_left"], report["erasures"]) == (2, 1)


ERASES = " 1 of them erases an account or a contact, and there is no way back."


@pytest.mark.parametrize(
    ("ready", "erasures", "question"),
    [
        (1, 0, "Put 1 letter back on its topic?"),
        (2, 0, "Put 2 letters back on their topics?"),
        (3, 1, f"Put 3 letters back on their topics?{ERASES}"),
    ],
)
def test_who_is_asked_is_told_of_erasures(
    monkeypatch: pytest.MonkeyPatch, ready: int, erasures: int, question: str
) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr("typer.confirm", confirm)
    assert not dlq._confirmed(Tally(ready=ready, erasures=erasures))
    assert asked == [question]


def test_a_listing_of_one_letter(capsys: pytest.CaptureFixture[str]) -> None:
    show_listing({"total": 1, "hidden": {}, "unreadable": 1, "counts": [], "letters": []})
    assert capsys.readouterr().out.splitlines()[:2] == [
        "1 dead letter",
        "1 record of the topic is no dead letter",
    ]

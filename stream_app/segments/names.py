"""Names and descriptions of segments: true, different, and kept while they are true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.segments.traits import Traits
from stream_app.segments.words import EVERY, GENERAL, QUALIFIERS, SLACK, TELLING, Word

_CONTENDER = 0.8
"""Of several dimensions that a segment is high in, those count as about equally strong that reach
this share of the strongest; the most telling of them names it."""
_KEPT = 0.5
"""A name in use stays while its dimension reaches this share."""

_WORDS = {word.name: word for word in EVERY}


def names_of(
    traits: Sequence[Traits], before: Mapping[int, str], given: Mapping[int, str]
) -> dict[int, str]:
    """The name of each segment by id. No two are the same.

    Parameters
    ----------
    traits
        Of all segments.
    before
        Names that segments had in the version before, by id.
    given
        Names that people gave, by id: these are kept whatever the accounts do.
    """
    named = {t.id: given[t.id] for t in traits if t.id in given}
    open_ = [t for t in traits if t.id not in named]
    by_id = {t.id: t for t in traits}
    # Plain names first: a qualified one stands beside the segment that has the plain one.
    for t in sorted(open_, key=lambda t: ("," in before.get(t.id, ""), t.id)):
        name = before.get(t.id, "")
        if name.casefold() not in _taken(named) and _still_true(name, t, named, by_id):
            named[t.id] = name
    new = [t for t in open_ if t.id not in named]
    for t in sorted(new, key=_claim):
        taken = _taken(named)
        free = (name for name in _candidates(t, named, by_id) if name.casefold() not in taken)
        named[t.id] = next(free)
    return named


def _taken(named: Mapping[int, str]) -> set[str]:
    """People may give a name of ours in capitals."""
    return {name.casefold() for name in named.values()}


def sentence_of(traits: Traits, name: str) -> str:
    """One sentence that says what the accounts do, in figures beside the average account's.

    It explains the name; where a person gave that, it says what the accounts would be called.
    """
    word = _WORDS.get(name.partition(", ")[0]) or words_for(traits)[0]
    top = sorted(traits.top(), key=lambda f: f.feature != word.dimension)
    if not top:
        return f"{word.says}, close to the average account in every respect."
    facts = [f"{_number(f.value)} {f.label} ({_number(f.average)})" for f in top]
    more = [t for f, t in zip(top, facts, strict=True) if traits.scaled[f.feature] > 0]
    fewer = [t for f, t in zip(top, facts, strict=True) if traits.scaled[f.feature] < 0]
    parts = [_listed(more)] if more else []
    parts += [f"only {_listed(fewer)}"] if fewer else []
    text = ", and ".join(parts).replace("(", "(average account: ", 1)
    return f"{word.says}, with {text}."


def words_for(traits: Traits, slack: float = 0.0) -> list[Word]:
    """Words that are true of a segment, the one that names it best first. Never empty."""
    strengths = traits.scaled
    strongest = max(strengths.values())
    found = [word for name in TELLING if (word := _first(TELLING[name], traits, slack))]

    def rank(word: Word) -> float:
        strength = strengths[word.dimension]
        return -strongest if strength >= _CONTENDER * strongest else -strength

    general = _first(GENERAL, traits, slack)
    assert general is not None  # the last one has no bounds
    return [*sorted(found, key=rank), general]  # sorting is stable: the more telling first


def _claim(traits: Traits) -> tuple[bool, float, int]:
    """Who chooses first: of two that a word fits, the one that is higher in what it means; of two
    without a telling word, the larger."""
    dimension = words_for(traits)[0].dimension
    return not dimension, -(traits.scaled[dimension] if dimension else traits.share), traits.id


def _first(words: Sequence[Word], traits: Traits, slack: float) -> Word | None:
    return next((word for word in words if word.holds(traits, slack)), None)


def _still_true(
    name: str, traits: Traits, named: Mapping[int, str], by_id: Mapping[int, Traits]
) -> bool:
    """Whether a name in use may stay: true of the segment, and of what sets it apart."""
    base, _, qualifier = name.partition(", ")
    word = _WORDS.get(base)
    if word is None or not word.holds(traits, SLACK) or _outdone(word, traits):
        return False
    if not qualifier:
        return True
    other = next((by_id[id_] for id_, given in named.items() if given == base), None)
    return other is not None and qualifier in _differences(traits, other)


def _outdone(word: Word, traits: Traits) -> bool:
    """Whether other words are clearly better: a narrower one, or one of a stronger dimension."""
    narrower = GENERAL if not word.dimension else TELLING[word.dimension]
    if any(w.holds(traits, -SLACK) for w in narrower[: narrower.index(word)]):
        return True
    clear = [w.dimension for w in words_for(traits, -SLACK) if w.dimension]
    strength = traits.scaled[word.dimension] if word.dimension else 0.0
    return strength < _KEPT * max((traits.scaled[dimension] for dimension in clear), default=0.0)


def _candidates(
    traits: Traits, named: Mapping[int, str], by_id: Mapping[int, Traits]
) -> Iterator[str]:
    """Names that fit, best first, without end."""
    best, *others = words_for(traits)
    yield best.name
    for word in others:
        if (
            word.dimension
            and traits.scaled[word.dimension] >= _KEPT * traits.scaled[best.dimension]
        ):
            yield word.name
    holder = next((by_id[id_] for id_, name in named.items() if name == best.name), None)
    if holder is not None:  # else a person gave the name to a segment of his own
        yield from (f"{best.name}, {text}" for text in _differences(traits, holder))
    yield from (f"{best.name} {number}" for number in count(2))


def _differences(traits: Traits, other: Traits) -> list[str]:
    """In what a segment differs from another one, the largest difference first."""
    apart = {d.name: traits.scaled[d.name] - other.scaled[d.name] for d in MODEL_VECTOR}
    by_size = sorted((d for d in MODEL_VECTOR if apart[d.name]), key=lambda d: -abs(apart[d.name]))
    texts = {
        d.name: QUALIFIERS.get(d.name, (f"more {d.label}", f"fewer {d.label}")) for d in by_size
    }
    return [texts[d.name][apart[d.name] < 0] for d in by_size]


def _number(value: float) -> str:
    """
    >>> _number(1234.5), _number(12.3), _number(1.26), _number(0.04)
    ('1,234', '12', '1.3', '0.0')
    """
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"

"""The same grammar under Hypothesis, which looks for small examples and shrinks what it finds."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app.events.decode import Decoded, Decoder
from stream_app.events.types import Event
from stream_app.settings import Settings
from stream_app.streams.ports import Message
from stream_app.streams.processor import Pipeline, Processor
from tests.fuzz import checks, values
from tests.fuzz.events import DOWNLOADS, EMAILS, TYPES, VISITS, Events, written
from tests.fuzz.generate import Generator, Record
from tests.fuzz.slowest import NOW_US

_PIPELINE = Pipeline(Settings())
_FLAT = [text for text in values.CONTAINERS if len(text) < 300]
_LATER_US = NOW_US + 400 * 86_400_000_000

few = settings(max_examples=60, suppress_health_check=list(HealthCheck))
randoms = st.randoms(use_true_random=False)


def processor(partition: int = 0) -> Processor:
    return Processor(_PIPELINE, partition, 2)


def letters(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.topic == "dead-letters"]


@few
@given(randoms, st.integers(1, 6), st.booleans())
def test_any_batch_is_accounted_for(random: Random, size: int, control: bool) -> None:
    generator, owner = Generator(random, accounts=20), processor()
    events = generator.batch(size, 0, NOW_US)
    batches = [events, generator.controls(size, 0, NOW_US)] if control else [events]
    for records in batches:
        work = owner.process(records, None, NOW_US)
        assert list(checks.accounting(records, work)) == []
        assert list(checks.published(work.outbox)) == []
        assert list(checks.table(owner.table, NOW_US, 10_000)) == []
    swept = owner.sweep(_LATER_US, None, _LATER_US)
    assert list(checks.published([*swept.outbox, *swept.samples])) == []
    assert list(checks.table(owner.table, _LATER_US, 10_000)) == []


@few
@given(randoms, st.integers(2, 6), st.data())
def test_where_a_batch_is_cut_does_not_matter(
    random: Random, size: int, data: st.DataObject
) -> None:
    records = Generator(random, accounts=20).batch(size, 0, NOW_US)
    at = data.draw(st.integers(1, size - 1))
    whole, parts = processor(), processor()
    together = whole.process(records, None, NOW_US)
    first, second = (parts.process(part, None, NOW_US) for part in (records[:at], records[at:]))
    assert whole.table.all_ids() == parts.table.all_ids()
    assert whole.table.live.tobytes() == parts.table.live.tobytes()
    assert together.rejected == first.rejected + second.rejected
    assert letters(together.outbox) == letters(first.outbox) + letters(second.outbox)


@few
@given(randoms, st.integers(1, 8))
def test_what_is_forwarded_is_taken_where_it_belongs(random: Random, size: int) -> None:
    """Everything comes to the wrong partition first."""
    generator = Generator(random, accounts=20)
    records = generator.batch(size, 0, NOW_US)
    sent = [m for m in processor(1).process(records, None, NOW_US).outbox if m.headers == ()]
    arrived = [
        Record(m.topic, 0, n, m.key, m.value, m.headers) for n, m in enumerate(sent) if m.value
    ]
    work = processor(0).process(arrived, None, NOW_US)
    assert work.effects.applied + work.effects.duplicates == len(sent)


@few
@given(
    randoms,
    st.sampled_from([VISITS, DOWNLOADS, EMAILS]),
    st.sampled_from([*values.NUMBERS, *values.TEXTS, *_FLAT]),
    st.data(),
)
def test_an_envelope_does_not_change_what_an_event_is(
    random: Random, topic: bytes, value: bytes, data: st.DataObject
) -> None:
    fields = Events(random).fields(topic, b'"acme"', values.instant(random, NOW_US))[1:]
    name = data.draw(st.sampled_from([*(name for name, _ in fields), b'"mood"']))
    fields = [*(pair for pair in fields if pair[0] != name), (name, value)]
    type_ = (b'"type"', b'"%s"' % TYPES[topic])
    bare = decoded(written([type_, *fields]))
    enveloped = decoded(
        written([(b'"specversion"', b'"1.0"'), type_, (b'"data"', written(fields))])
    )
    assert bare.events == enveloped.events
    assert bare.rejections == enveloped.rejections


def decoded(value: bytes) -> Decoded[Event]:
    """One record on a topic where events name their own types."""
    return Decoder({}).decode([Record("engagement", 0, 0, None, value)], NOW_US)

"""Events as lists of JSON texts: valid ones, and changes that make them hostile."""

from __future__ import annotations

from random import Random

from stream_app.events.control import CONTROL_TYPES
from stream_app.streams import topics
from tests.fuzz import values

VISITS, DOWNLOADS, EMAILS = (
    topic.name.encode()
    for topic in (topics.WEBSITE_VISITS, topics.CONTENT_DOWNLOADS, topics.EMAIL_EVENTS)
)
TYPES = {
    VISITS: b"website.visit",
    DOWNLOADS: b"content.download",
    EMAILS: b"email.engagement",
}
CONTROL = topics.ACCOUNT_CONTROL.name.encode()
CONTROLS = tuple(name.encode() for name in CONTROL_TYPES)
Fields = list[tuple[bytes, bytes]]
"""Names and values of an object as JSON texts, in order; a name may stand twice."""


class Events:
    """Valid events, except perhaps for their instants, with ids that count up."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.count = 0

    def fields(self, topic: bytes, account: bytes, occurred_at: bytes) -> Fields:
        """A valid event as it belongs on a topic, of an account (JSON text), at an instant (JSON
        text, perhaps invalid)."""
        random = self._random
        self.count += 1
        id_ = b"%d" % self.count
        if random.random() < 0.01:
            id_ = random.choice(random.choice(values.colliding_ids()))
        type_ = TYPES.get(topic) or random.choice(CONTROLS)
        fields = [
            (b'"type"', b'"%s"' % type_),
            (b'"id"', b'"%s"' % id_),
            (b'"occurred_at"', occurred_at),
            (b'"account_id"', account),
        ]
        if random.random() < 0.8:
            fields.append((b'"contact_id"', self._contact()))
        if random.random() < 0.6:
            fields.append((b'"topics"', self._topics()))
        if topic == VISITS:
            page = random.choice((b"pricing", b"product", b"docs", b""))
            fields.append((b'"page_category"', b'"%s"' % page))
            fields.append((b'"dwell_seconds"', b"%d.5" % (random.random() * 9_000)))
            fields.append((b'"session_id"', b'"s-%d"' % (random.random() * 5_000)))
            fields.append((b'"url"', b'"https://example.com/%s"' % page))
        elif topic == DOWNLOADS:
            stage = random.choice((b"awareness", b"consideration", b"decision"))
            fields.append((b'"stage"', b'"%s"' % stage))
        elif topic == EMAILS:
            kinds = (b"sent", b"opened", b"clicked", b"replied", b"unsubscribed", b"bounced")
            fields.append((b'"kind"', b'"%s"' % random.choice(kinds)))
            if random.random() < 0.2:
                fields.append((b'"machine_open"', b"true"))
        return fields

    def _contact(self) -> bytes:
        random = self._random
        roll = random.random()
        if roll < 0.6:
            return b'"c-%d"' % (random.random() * 2_000)
        if roll < 0.95:
            return b'"P%d@Example.com "' % (random.random() * 500)
        return b'"%d@unique.example"' % self.count

    def _topics(self) -> bytes:
        random = self._random
        names = []
        for _ in range(int(random.random() * 6)):
            if random.random() < 0.1:
                names.append(b'"unique-%d"' % self.count)
            else:
                names.append(b'"t-%d"' % (random.random() ** 3 * 60))
        return b"[" + b",".join(names) + b"]"

    def mutate(self, fields: Fields) -> str:
        """Change one field; returns what was done."""
        random = self._random
        position = int(random.random() * len(fields))
        name, old = fields[position]
        roll = random.random()
        if roll < 0.5:
            fields[position] = (name, values.value(random))
            return "value " + _shown(name)
        if roll < 0.62:
            if len(fields) > 1:
                del fields[position]
            return "without " + _shown(name)
        if roll < 0.74:
            fields.insert(
                int(random.random() * len(fields)),
                (name, random.choice((old, values.value(random)))),
            )
            return "twice " + _shown(name)
        if roll < 0.92:
            unread = random.choice((b'"mood"', b'""', b'"\\u0000"', b'"data"', b'"specversion"'))
            fields.append((unread, values.value(random)))
            return "further " + _shown(unread)
        fields[position] = (
            random.choice((name.upper(), b'"\\u00%02x' % name[1] + name[2:], name[1:], b'"\xff"')),
            old,
        )
        return "name " + _shown(name)


def written(fields: Fields) -> bytes:
    """The fields as an object."""
    return b"{" + b",".join([name + b":" + content for name, content in fields]) + b"}"


def _shown(name: bytes) -> str:
    return name.decode(errors="backslashreplace")

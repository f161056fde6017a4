"""Writes the reference pages beside it from the program itself. `make docs` runs it.

Usage: python docs/generate.py [--check]

With `--check` nothing is written, and the exit code is 1 if a page differs.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping
from math import exp, log, sqrt
from pathlib import Path
from typing import Any, Literal

import annotated_types
from prometheus_client import Counter, Histogram
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stream_app.changes.types import ReasonCode
from stream_app.events.batch import MAX_DWELL_MINUTES, TOPICS_PER_EVENT, Kind
from stream_app.events.control import CONTROL_TYPES
from stream_app.events.decode import Reason
from stream_app.features.catalogue import DERIVED, HALF_LIVES_DAYS, MODEL_VECTOR, ROLLING, Rolling
from stream_app.features.table import (
    ACCOUNT,
    CONTACT_BUCKETS,
    RING,
    SESSIONS,
    TOPIC_HALF_LIVES_HOURS,
    TOPIC_SLOTS,
)
from stream_app.features.values import MAX_SILENCE_DAYS
from stream_app.intent.scores import BANDS
from stream_app.schemas.headers import DEAD_LETTER_NAME, dead_letter_headers
from stream_app.settings import ScoreSettings, Settings, SpikeSettings
from stream_app.streams.metrics import Metrics
from stream_app.streams.topics import DEAD_LETTERS

FOLDER = Path(__file__).parent
COMMAND = "make docs"

_UNITS = ("seconds", "ms", "bytes", "days", "hours", "accounts", "vectors")
_TYPES: dict[Any, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
}
_LABELS = {
    "topic": "Kafka's name of the topic.",
    "partition": "Number of the partition.",
    "cause": "`Fenced`: another owner has claimed it. `Moved`: its state was changed by somebody "
    "else. `Unavailable`, `OutcomeUnknown`: Redis or Kafka did not answer. `EngineFailed`: an "
    "error of this program; the records are applied one by one to find the one that it fails on.",
    "kind": ", ".join(f"`{kind}`" for kind in CONTROL_TYPES) + ".",
    "what": "`redis`: to commit. `kafka`: to publish. `outbox`: until Kafka has taken enough for "
    "reading to go on (`worker.outbox_limit`). `inbox`: until enough of what was read is applied; "
    "normal while a worker catches up. `claim`: until a partition that was lost is tried again.",
    "segment": "Id of the segment; 0: unsegmented.",
    "name": "Name of the segment.",
    "check": "`differentiated`: silhouette. `manageable`: number of segments. `sustainable`: share "
    "of the smallest segment. `understandable`: share of the accounts for which the rules agree. "
    "`no_overlap`: share of the accounts on a border. `aligned`: how differently target accounts "
    "are spread. What is asked of each: section `health` of the settings.",
}


def settings() -> str:
    """Every setting by section."""
    sections = [
        ("", "At the top", "", {n: f for n, f in Settings.model_fields.items() if not _section(f)})
    ]
    for name, field in Settings.model_fields.items():
        if section := _section(field):
            sections.append((name, f"`{name}`", section.__doc__ or "", _own_first(section)))
    rows = []
    for section_name, title, meaning, fields in sections:
        rows += [f"## {title}", "", *([meaning, ""] if meaning else [])]
        columns = ("TOML", "environment", "type and range", "default", "meaning")
        rows += _table(columns, [_setting(section_name, n, f) for n, f in fields.items()])
        rows.append("")
        rows += _maps(fields)
    return _page(
        "Settings",
        """
        A setting is read from its environment variable, else from the TOML file, else it has its
        default. The file is `stream-app.toml` in the working directory, or the one that
        `STREAM_APP_CONFIG` names. A name that does not exist, or a value out of range, is an error
        when the program starts (exit code 3). One variable is no setting: `STREAM_APP_NATIVE=0`
        leaves the compiled extension unused; the results are the same.

        Lists and maps are JSON in the environment: `STREAM_APP_SCORES__ENTER=[20, 45, 70]`.

        Secrets are never shown or logged. A secret may lie in a file of its own, as Docker and
        Kubernetes provide it: with `_FILE` behind the variable's name (`_file` in TOML) the value
        is the path of that file, whose line end is left out. Giving a secret in both ways is an
        error.

            # stream-app.toml
            log_format = "json"

            [kafka]
            bootstrap_servers = "kafka-1:9092,kafka-2:9092"
        """,
        rows,
    )


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _own_first(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a section; what it shares with others (TLS) comes last."""
    fields = section.model_fields
    own = {name: fields[name] for name in fields if name in section.__annotations__}
    return own | fields


def _setting(section: str, name: str, field: FieldInfo) -> tuple[str, ...]:
    path = f"{section}.{name}" if section else name
    variable = "STREAM_APP_" + path.replace(".", "__").upper()
    assert field.description, f"{path} has no text in settings.py"
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
    kind = _type(field) + (f", {unit}" if unit else "")
    return f"`{path}`", f"`{variable}`", kind, _default(field.default), _line(field.description)


def _type(field: FieldInfo) -> str:
    kind = field.annotation
    if kind is SecretStr:
        return "secret"
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"{len(typing.get_args(kind))} numbers 0 to 100, rising"
    if typing.get_origin(kind) is dict:
        return "map of event kind to points"
    return _TYPES[kind] + _range(field.metadata)


def _range(metadata: Iterable[Any]) -> str:
    words = []
    for bound in metadata:
        for kind, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if isinstance(bound, getattr(annotated_types, kind.capitalize())):
                words.append(f"{sign} {getattr(bound, kind):,}".replace(",", " "))
    return f" {', '.join(words)}" if words else ""


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        shown = value.get_secret_value()
        return f"`{shown}`" if shown else "empty"
    if isinstance(value, dict):
        return "see below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`" if value != "" else "empty"


def _maps(fields: Mapping[str, FieldInfo]) -> list[str]:
    maps = {
        name: field.default for name, field in fields.items() if isinstance(field.default, dict)
    }
    if not maps:
        return []
    rows = [
        (
            f"`{kind.name.lower()}`",
            *(_number(values.get(kind.name.lower(), 0)) for values in maps.values()),
        )
        for kind in Kind
        if kind is not Kind.PASSIVE
    ]
    return [*_table(("event kind", *(f"`{name}`" for name in maps)), rows), ""]


def features() -> str:
    """Features, the model vector, scores, spikes, and the limits of what is remembered."""
    scores = ScoreSettings()
    rolling = [
        (f"`{f.name}`", f.unit, f"{f.half_life_days} d", _adds(f), f.meaning) for f in ROLLING
    ]
    derived = [(f"`{f.name}`", f.unit, f.meaning) for f in DERIVED]
    vector = [
        (f"`{d.name}`", " + ".join(f"`{name}`" for name in d.features), d.label, d.unit)
        for d in MODEL_VECTOR
    ]
    bands = [
        (band, _number(enter), _number(leave))
        for band, enter, leave in zip(BANDS[1:], scores.enter, scores.leave, strict=True)
    ]
    estimates = [(f"{n}", f"±{_linear_counting_error(n):.1f}") for n in (5, 10, 20, 50, 100, 200)]
    days = ", ".join(str(days) for days in HALF_LIVES_DAYS)
    parts = [
        "## Rolling features",
        "",
        _text(f"""
        Sums over an account's events that fade: an event of age t counts 2^(-t / half-life). Events
        may come late and in any order. Under a steady rate of r a day a sum settles at
        r * half-life / ln 2, so a feature of 7 days does not count exactly a week. Half-lives are
        {days} days. Event kinds are explained in docs/settings.md, under `scores`.
        """),
        "",
        *_table(("feature", "unit", "half-life", "what an event adds", "meaning"), rolling),
        "",
        "## Derived features",
        "",
        "Computed from the above, and from what is remembered, whenever they are asked for.",
        "",
        *_table(("feature", "unit", "meaning"), derived),
        "",
        "## Model vector",
        "",
        _text("""
        What the clustering model sees of an account: ln(1 + sum of the features), in this order.
        The scaling of each dimension is part of the model.
        """),
        "",
        *_table(("dimension", "features", "in names and reasons", "unit"), vector),
        "",
        "## Scores and bands",
        "",
        _text(f"""
        A score is 100 * (1 - exp(-points / scale)), from 0 to 100.

        - engagement: points are `active_days_28d` + {_number(scores.activity_days)} *
          ln(1 + `engagement_points_28d`) + {_number(scores.contact_days)} * `contacts_28d`; the
          scale is {_number(scores.engagement_scale)}.
        - intent: points are `intent_points_7d`; the scale is {_number(scores.intent_scale)}.

        These are the defaults; docs/settings.md has the settings and the points per event. A band
        is entered at one score and left below a lower one, so that it does not flap. Below them
        all an account is {BANDS[0]}.
        """),
        "",
        *_table(("band", "entered from", "left below"), bands),
        "",
        *_spikes(),
        *_limits(estimates),
    ]
    return _page("Features, scores and limits", "What is known of an account, and how.", parts)


def _adds(feature: Rolling) -> str:
    fixed = {
        "dwell": f"minutes on the page, at most {_number(MAX_DWELL_MINUTES)}",
        "session": "1 for the first event of a session",
        "day": "1 for the first event of a person on a day (UTC)",
        "engagement": "`scores.engagement_points`",
        "intent": "`scores.intent_points`",
    }
    if feature.source in fixed:
        return fixed[feature.source]
    return ", ".join(f"{_number(w)} for `{k.name.lower()}`" for k, w in feature.weights.items())


def _spikes() -> list[str]:
    spike = SpikeSettings()
    return [
        "## Interest and spikes",
        "",
        _text(f"""
        Each event adds 1 to the interest in each of its topics, with half-lives of 1 and 28 days.

        A spike is more people, or more of their visits, on a topic than the account's own habit
        explains. Pages come in sessions, so pages are not counted: a visit is one person on the
        topic within one clock hour, and an arrival is a visit of somebody who was not on the
        topic before in this half of the day or the one before. Arrivals are summed up with a
        half-life of {TOPIC_HALF_LIVES_HOURS["arrivals"]} hour (several people start together),
        visits with one of {TOPIC_HALF_LIVES_HOURS["visits"]} hours (they stay with it). Where m
        are expected, n are surprising by n ln(n / m) - (n - m), the Poisson deviance in nats;
        that of visits is divided by {_number(spike.visit_dispersion)}, because one visit brings the
        next. The greater of the two is the surprise.

        What is expected is the account's rate of visits to the topic, of about a month and without
        those that are being judged, together with {_number(spike.prior_days)} days of what is
        taken for granted: {_number(spike.prior_visits)} visits a day, and
        {_number(100 * spike.prior_share)} % of the account's visits to its other topics. It is
        multiplied by {_number(spike.working_hours)}, because people
        work in about a third of the hours. A spike is reported when the surprise is at least
        {_number(spike.min_surprise)}, at least {spike.min_contacts} people took part within the
        last 12 to 24 hours, the account had no spike within {_number(spike.cooldown_hours)}
        hours, and the event is the account's latest: one that comes late is no news. Only visits
        and downloads of a known contact are evidence. What people do with a mailing is not, and
        neither are visits with a `campaign_id` (`spikes.campaign_visits`). The numbers are
        defaults; docs/settings.md, `spikes`. It means unusual interest, not a purchase.
        """),
        "",
    ]


def _limits(estimates: list[tuple[str, str]]) -> list[str]:
    largest = -CONTACT_BUCKETS * log(0.5 / CONTACT_BUCKETS)
    return [
        "## Limits",
        "",
        _text(f"""
        An account takes {ACCOUNT.itemsize:,} bytes, however busy it is. That has a price:

        - **Duplicates.** The hashes (CRC-32) of an account's last {RING} event ids are remembered.
          An event whose id is among them is dropped. A duplicate that comes after {RING} or more
          other events of its account is counted again. Where the hashes of the ids spread evenly, a
          full ring takes a new event for a duplicate, wrongly, with a probability of
          {RING} / 2^32 ≈ {RING / 2**32:.1e}: about one in {2**32 // RING:,} events.
        - **People.** Contacts are counted by {CONTACT_BUCKETS} buckets that each know the day on
          which one of their contacts was last seen. The number is estimated by linear counting
          (Whang, Vander-Zanden, Taylor 1990): it is not exact, and never above {largest:.0f}. Days
          are UTC days.
        - **People on a topic.** One bit for each of the same {CONTACT_BUCKETS} buckets, for this
          half of a day (UTC) and the one before. Two people who share a bucket are one.
        - **Sessions.** The last {SESSIONS} session ids are known; an older session that goes on
          counts again.
        - **Topics.** {TOPIC_SLOTS} topics are followed per account. A further one takes the place
          of the one with the least slow interest. Of one event {TOPICS_PER_EVENT} topics count.
        - **Topic names.** Topics are kept as 32-bit hashes, with names per partition
          (`worker.max_topics`).
        - **Silence** is counted up to {_number(MAX_SILENCE_DAYS)} days. An account of which nobody
          ever did anything (which only got e-mails, say) has as many.
        """),
        "",
        "Standard error of the number of people, by the formula of Whang et al.:",
        "",
        *_table(("people", "standard error"), estimates),
    ]


def _linear_counting_error(people: int) -> float:
    load = people / CONTACT_BUCKETS
    return sqrt(CONTACT_BUCKETS * (exp(load) - load - 1))


def metrics() -> str:
    """Every metric that /metrics has."""
    found = [m for m in vars(Metrics()).values() if hasattr(m, "_labelnames")]
    rows, labels = [], dict.fromkeys(name for metric in found for name in metric._labelnames)
    for metric in found:
        (family,) = metric.describe()
        name = family.name + ("_total" if isinstance(metric, Counter) else "")
        own = ", ".join(f"`{label}`" for label in metric._labelnames)
        rows.append((f"`{name}`", family.type, own, family.documentation))
    bounds = [
        (
            f"`{next(iter(metric.describe())).name}`",
            " ".join(f"{b:g}" for b in metric._upper_bounds[:-1]),
        )
        for metric in found
        if isinstance(metric, Histogram)
    ]
    meanings = _LABELS | {
        "reason": "Of dead letters: see docs/dead-letters.md. Of changes: "
        + ", ".join(f"`{code}`" for code in typing.get_args(typing.get_args(ReasonCode)[0]))
        + "."
    }
    parts = [
        *_table(("metric", "type", "labels", "meaning"), rows),
        "",
        _text("""
        A histogram has `_bucket`, `_count` and `_sum`. A metric with labels has no series before
        the first count. A worker that gives a partition away may keep the last values of its
        gauges: over several workers, take `max by (partition)` first, and then the sum.
        """),
        "",
        "## Labels",
        "",
        *_table(("label", "meaning"), [(f"`{name}`", meanings[name]) for name in labels]),
        "",
        "## Buckets",
        "",
        *_table(("histogram", "upper bounds, seconds"), bounds),
    ]
    return _page(
        "Metrics",
        """
        Each worker has them on /metrics of its HTTP port (docs/settings.md, `web`), in Prometheus'
        format. deploy/prometheus has alerts and deploy/grafana a dashboard for them.
        """,
        parts,
    )


def dead_letters() -> str:
    """Reason codes and headers of dead letters."""
    texts = _texts_of_members(Reason)
    reasons = [(f"`{reason.value}`", texts[reason.name]) for reason in Reason]
    headers = dead_letter_headers()
    described = [
        (f"`{name}`", schema.get("description") or f"`{schema['const']}`")
        for name, schema in headers["properties"].items()
        if "description" in schema or "const" in schema
    ]
    described += [
        ("`ce_sourcepartition`, `ce_sourceoffset`", "Where it was read."),
        *(
            (f"`{pattern.strip('^')}…`", schema["description"])
            for pattern, schema in headers["patternProperties"].items()
        ),
    ]
    parts = [
        "## Reasons",
        "",
        "Stable codes. `ce_detail` says more, and never holds values of the record.",
        "",
        *_table(("`ce_reason`", "meaning"), reasons),
        "",
        "## Headers",
        "",
        *_table(("header", "meaning"), described),
        "",
        f"Schema: schemas/{DEAD_LETTER_NAME}.schema.json.",
    ]
    return _page(
        "Dead letters",
        f"""
        A record that cannot be read or is not valid goes to `{DEAD_LETTERS.name}` with its original
        key, value and headers, and the reason for it in further headers. The stream goes on, and
        nothing else changes. They are kept for {DEAD_LETTERS.retention_days} days. The metric
        `stream_app_dead_letters_total` counts them by reason.
        """,
        parts,
    )


def _texts_of_members(kind: type) -> dict[str, str]:
    """The text under each member of a class; Python itself forgets it."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for before, after in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(before, ast.Assign) and isinstance(after, ast.Expr):
            (target,) = before.targets
            texts[ast.unparse(target)] = _line(ast.literal_eval(after.value))
    return texts


def _page(title: str, start: str, parts: Iterable[str]) -> str:
    note = f"<!-- Generated by `{COMMAND}`. Do not edit. -->"
    return "\n".join([note, "", f"# {title}", "", _text(start), "", *parts]).rstrip() + "\n"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    columns = tuple(columns)
    lines = [columns, ("---",) * len(columns), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _text(text: str) -> str:
    """Paragraphs and list items of a string, filled anew; what is indented stays as it is."""
    blocks: list[list[str]] = [[]]
    for line in textwrap.dedent(text).strip().splitlines():
        if not line or line.startswith("- "):
            blocks.append([])
        blocks[-1].append(line)
    return "\n".join(_filled(lines) for lines in blocks if lines)


def _filled(lines: list[str]) -> str:
    if lines[-1].startswith("    ") or lines == [""]:
        return "\n".join(lines)
    break_before = "" if lines[0] else "\n"
    indent = "  " if lines[0].startswith("- ") else ""
    return break_before + textwrap.fill(
        _line(" ".join(lines)),
        width=100,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _number(value: float) -> str:
    return f"{value:g}"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings,
    "features.md": features,
    "metrics.md": metrics,
    "dead-letters.md": dead_letters,
}
"""Pages by file name."""


def drifted(folder: Path = FOLDER) -> list[str]:
    """Names of the pages in `folder` that are not what would be written."""
    return [
        name
        for name, page in PAGES.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != page()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or check them; returns the exit code."""
    if arguments == ["--check"]:
        if names := drifted():
            sys.stderr.write(f"out of date: {', '.join(names)}; run `{COMMAND}`\n")
        return 1 if names else 0
    if arguments:
        sys.stderr.write(__doc__ or "")
        return 2
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Every setting, with unit, range and default.

Read from, in falling priority: environment variables (`STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=…`), a
TOML file (`stream-app.toml`, or the one that `STREAM_APP_CONFIG` names), the defaults below and
in `connections.py`. A secret may also lie in a file of its own, which the same name with `_file` at
its end gives. A name that does not exist is an error, so that a typing mistake does not pass as a
default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from stream_app.connections import KafkaSettings, RedisSettings, Section, WebSettings
from stream_app.errors import ConfigError
from stream_app.secret_files import with_secrets_from_files

__all__ = [
    "EventKind",
    "HealthSettings",
    "InputSettings",
    "KafkaSettings",
    "RedisSettings",
    "ScoreSettings",
    "SegmentSettings",
    "Settings",
    "SpikeSettings",
    "WebSettings",
    "WorkerSettings",
    "load",
]

Positive = Annotated[float, Field(gt=0)]
Score = Annotated[float, Field(ge=0, le=100)]
EventKind = Literal[
    "visit",
    "visit_product",
    "visit_pricing",
    "download_awareness",
    "download_consideration",
    "download_decision",
    "email_opened",
    "email_clicked",
    "email_replied",
    "email_unsubscribed",
]
"""What an event counts as; see `stream_app.events.batch.Kind`."""


class InputSettings(Section):
    """What is accepted."""

    max_record_bytes: Annotated[int, Field(ge=256, le=4_194_304)] = 262_144
    """A larger record becomes a dead letter."""
    future_tolerance_seconds: Annotated[float, Field(ge=0)] = 600.0
    """An event that lies further ahead of the clock becomes a dead letter."""
    contact_hash_key: SecretStr = SecretStr("")
    """Key of the HMAC that replaces e-mail addresses given as contact ids. Empty: a fixed,
    public key is used, which hides addresses from sight but not from a determined guesser."""


class ScoreSettings(Section):
    """Scores run from 0 to 100 as 100 * (1 - exp(-weighted sum / scale))."""

    engagement_points: dict[EventKind, float] = {  # noqa: RUF012 (pydantic copies it)
        "visit": 1.0,
        "visit_product": 1.5,
        "visit_pricing": 3.0,
        "download_awareness": 3.0,
        "download_consideration": 5.0,
        "download_decision": 8.0,
        "email_opened": 0.5,
        "email_clicked": 2.0,
        "email_replied": 6.0,
    }
    """Points that an event adds to engagement; kinds that are not given keep their default. Sums
    already stored keep their old weights."""
    intent_points: dict[EventKind, float] = {  # noqa: RUF012
        "visit_product": 1.0,
        "visit_pricing": 3.0,
        "download_consideration": 3.0,
        "download_decision": 6.0,
        "email_clicked": 0.5,
        "email_replied": 4.0,
    }
    """Points that an event adds to intent; kinds that are not given keep their default."""
    activity_days: Annotated[float, Field(ge=0)] = 0.2
    """Active days that ln(1 + engagement points) counts for, both with a half-life of 28 days."""
    contact_days: Annotated[float, Field(ge=0)] = 0.5
    """Active days that each distinct person active within 28 days counts for."""
    engagement_scale: Positive = 8.0
    """Active days (28-day half-life), with what counts as such, at which the engagement score
    reaches 63. One active day a week settles at 5.8 of them."""
    intent_scale: Positive = 20.0
    """Intent points (7-day half-life) at which the intent score reaches 63."""
    enter: tuple[Score, Score, Score] = (20.0, 45.0, 70.0)
    """Score from which an account enters the bands warm, engaged, hot."""
    leave: tuple[Score, Score, Score] = (15.0, 38.0, 62.0)
    """Score below which it leaves them again; lower than `enter`, so that bands do not flap."""

    @field_validator("engagement_points", "intent_points", mode="before")
    @classmethod
    def _complete(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict) or info.field_name is None:
            return given
        return {**cls.model_fields[info.field_name].default, **given}

    @model_validator(mode="after")
    def _ordered(self) -> ScoreSettings:
        if list(self.enter) != sorted(self.enter) or list(self.leave) != sorted(self.leave):
            raise ValueError("enter and leave must each rise from warm to hot")
        if any(leave > enter for enter, leave in zip(self.enter, self.leave, strict=True)):
            raise ValueError("leave must not be above enter")
        return self


class SpikeSettings(Section):
    """When unusual interest in a topic is reported."""

    min_surprise: Positive = 6.6
    """Evidence against the account's own habit, in nats of the Poisson deviance."""
    min_contacts: Annotated[int, Field(ge=1, le=32)] = 2
    """Distinct people on the topic within the last 12 to 24 hours."""
    cooldown_hours: Annotated[float, Field(ge=0)] = 72.0
    """At least so long between two spikes of one account, on whatever topic."""
    prior_visits: Positive = 0.75
    """Visits a day to any topic that are taken for granted of an account that is new."""
    prior_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Of the account's visits to its other topics, the share that is taken for granted on top."""
    prior_days: Positive = 7.0
    """Days of an account's own history that weigh as much as what is taken for granted."""
    working_hours: Annotated[float, Field(ge=1)] = 3.0
    """How many times the mean of day and night, work and weekend, a habit is in working hours:
    about 56 of the week's 168."""
    visit_dispersion: Annotated[float, Field(ge=1)] = 1.5
    """Visits of people follow each other; their evidence is divided by this."""
    campaign_visits: bool = False
    """Whether visits with a `campaign_id` are evidence too. What people do with a mailing says
    little about what they would have looked for by themselves."""


class SegmentSettings(Section):
    """How accounts are assigned and how the model is trained."""

    margin: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """An account leaves its segment only for a centre that is nearer by this share of the
    distance to its own."""
    strong_margin: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """It leaves at once for a centre that is nearer by this share; not less than `margin`."""
    confirm_days: Annotated[float, Field(ge=0, le=28)] = 4.0
    """For one between the two margins it leaves when it has not been found back for so long: longer
    than a weekend. 0: at once."""
    min_segments: Annotated[int, Field(ge=2, le=50)] = 3
    """With `max_segments`: limits for the number of segments."""
    max_segments: Annotated[int, Field(ge=2, le=50)] = 8
    """The number is chosen at the warm start and at refits, by separation and stability."""
    warm_start_vectors: Annotated[int, Field(ge=50, le=100_000)] = 500
    """Vectors to collect before the first model."""
    halflife: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """River's KMeans: share of the way that a centre moves toward each vector."""
    sample_hours: Positive = 24.0
    """At most one training vector per account and so many hours of event time."""
    snapshot_vectors: Annotated[int, Field(ge=1)] = 2_000
    """Vectors learnt between two snapshots, at least."""
    snapshot_shift: Annotated[float, Field(ge=0)] = 0.15
    """A new snapshot is published only when a centre has moved by this share of the smallest
    distance between centres."""
    activation: Literal["automatic", "approval"] = "automatic"
    """Whether centres that were chosen anew are used at once, or wait for an operator (`stream-app
    model activate`). The first model and small movements never wait."""
    seed: int = 7
    """Seed of the warm start."""
    train: bool = True
    """Whether workers train the model. Off: the model in use stays until somebody activates
    another one."""

    @model_validator(mode="after")
    def _limits(self) -> SegmentSettings:
        if self.min_segments > self.max_segments:
            raise ValueError("min_segments must not be above max_segments")
        if self.margin > self.strong_margin:
            raise ValueError("margin must not be above strong_margin")
        return self


class HealthSettings(Section):
    """What a marketer asks of the segments. A check that fails is shown, and stops nothing."""

    min_silhouette: Annotated[float, Field(ge=-1, le=1)] = 0.25
    """Differentiated: least mean silhouette. Below 0.25 there is no substantial structure
    (Kaufman and Rousseeuw, "Finding Groups in Data", 1990)."""
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Sustainable: least share of the accounts that a segment has."""
    max_loss: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Sustainable: a segment may lose this part of its share from one version to the next."""
    min_fidelity: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Understandable: least share of the accounts that the rules put where the model does."""
    thin_margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """No overlap: an account whose own centre is nearer than the next one by a smaller share lies
    on a border."""
    max_thin_share: Annotated[float, Field(ge=0, le=1)] = 0.15
    """No overlap: share of the accounts that may lie on a border."""
    target_file: str = ""
    """Aligned: file with the ids of the accounts that marketing is after, one a line. Empty: not
    judged."""
    min_target_difference: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Aligned: least difference between where target accounts are and where all accounts are: the
    share of target accounts that would have to move to another segment to be spread like all."""


class WorkerSettings(Section):
    """How the data plane runs."""

    max_batch: Annotated[int, Field(ge=1, le=50_000)] = 4_000
    """Records per step at most."""
    ahead_records: Annotated[int, Field(ge=1)] = 500
    """Where so many records wait, they are applied while the last commit is on its way. Fewer
    wait for it, so that its changes are published first."""
    poll_seconds: Annotated[float, Field(gt=0, le=60)] = 0.2
    """How long one poll waits for records."""
    sweep_seconds: Annotated[float, Field(gt=0, le=3_600)] = 1.0
    """Time between two looks for accounts that time alone may have moved."""
    sweep_slice_ms: Annotated[float, Field(gt=0, le=1_000)] = 3.0
    """Silent accounts are looked at in portions that hold up events for about so long."""
    sweep_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of the worker's time that these portions may take, so that a wave is spread out."""
    sweep_accounts: Annotated[int, Field(ge=1)] = 2_000
    """Accounts of one portion at most."""
    model_accounts_per_second: Annotated[float, Field(ge=0)] = 0.0
    """Accounts of a worker that are looked at each second under another model, at most; 0: as many
    as `sweep_share` allows. An account that has an event is looked at with it in any case."""
    sweep_grace_seconds: Annotated[float, Field(ge=0)] = 60.0
    """The sweep stays so far behind the clock, for events that are still on their way."""
    inbox_limit_bytes: Annotated[int, Field(ge=1_048_576)] = 67_108_864
    """Records that were read but not applied, of all partitions, at which reading waits."""
    outbox_limit: Annotated[int, Field(ge=1)] = 20_000
    """Unpublished messages of a partition at which its consumption waits."""
    outbox_limit_bytes: Annotated[int, Field(ge=1_048_576)] = 67_108_864
    """The same in bytes: a dead letter may have megabytes."""
    shutdown_seconds: Positive = 20.0
    """Deadline for finishing what is in flight when partitions are lost or the worker stops."""
    model_poll_seconds: Positive = 1.0
    """How often a worker asks for a newer model."""
    max_topics: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Distinct topic names a partition remembers; further ones count as one called `(other)`."""


class Settings(BaseSettings):
    """All settings. Build with `load()`."""

    model_config = SettingsConfigDict(
        env_prefix="STREAM_APP_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    input: InputSettings = InputSettings()
    scores: ScoreSettings = ScoreSettings()
    spikes: SpikeSettings = SpikeSettings()
    segments: SegmentSettings = SegmentSettings()
    health: HealthSettings = HealthSettings()
    worker: WorkerSettings = WorkerSettings()
    web: WebSettings = WebSettings()
    log_format: Literal["text", "json"] = "text"
    """How log lines are written to stderr."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this level are not written."""

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, given: Any) -> Any:
        return with_secrets_from_files(cls, given)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        named = os.environ.get("STREAM_APP_CONFIG")
        toml = TomlConfigSettingsSource(settings_cls, Path(named or "stream-app.toml"))
        return init_settings, env_settings, toml


def load(**overrides: Any) -> Settings:
    """Read the settings; `overrides` go before everything.

    Raises
    ------
    ConfigError
        A value is out of range, a name is unknown, or the named file is missing or not TOML. The
        message names each setting, and never shows the value of a secret.
    """
    named = os.environ.get("STREAM_APP_CONFIG")
    if named and not Path(named).is_file():
        raise ConfigError(
            f"STREAM_APP_CONFIG names {named}, which is not a file",
            hint="correct the path or unset the variable",
        )
    _refuse_unknown_names()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: "
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError(
            "the settings do not fit: " + "; ".join(lines),
            hint="see docs/settings.md for names, units and ranges",
        ) from None
    except SettingsError as error:
        raise ConfigError(
            f"an environment variable cannot be read: {error}",
            hint="lists and whole sections are written as JSON",
        ) from None
    except ValueError as error:  # tomllib.TOMLDecodeError
        raise ConfigError(f"the settings file is not valid TOML: {error}") from None


def _refuse_unknown_names() -> None:
    """pydantic-settings ignores unknown environment variables at the top level; we do not."""
    known = {*Settings.model_fields, "config", "native", "test"}
    for name in os.environ:
        if not name.startswith("STREAM_APP_"):
            continue
        rest = name.removeprefix("STREAM_APP_").lower()
        if rest not in known and rest.split("__")[0] not in known and not rest.startswith("test_"):
            raise ConfigError(
                f"the environment variable {name} is not a setting of stream-app",
                hint="nested settings take two underscores, e.g. STREAM_APP_KAFKA__GROUP",
            )

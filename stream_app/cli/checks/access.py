"""Who reaches what, and how: login, encryption and the HTTP port, by the settings. No secrets."""

from __future__ import annotations

from stream_app.cli.checks.base import Check
from stream_app.connections import TlsSettings
from stream_app.errors import StreamAppError
from stream_app.settings import KafkaSettings, RedisSettings, Settings, WebSettings
from stream_app.streams.redis_calls import RedisCalls


def access_checks(settings: Settings) -> list[Check]:
    """What is in force; a hint where it protects less than it seems."""
    return [_kafka(settings.kafka), _redis(settings.redis), _web(settings.web)]


def _kafka(settings: KafkaSettings) -> Check:
    login = "no login"
    if settings.uses_sasl:
        login = f"user {settings.sasl_username} by {settings.sasl_mechanism}"
    elif settings.ssl_cert_file:
        login = "known by its certificate"
    parts = [settings.security_protocol, login, _tls(settings, settings.uses_tls)]
    hint = ""
    if settings.uses_sasl and not settings.uses_tls:
        hint = "use SASL_SSL, unless nobody else is on this network"
        if settings.sasl_mechanism == "PLAIN":
            hint += ": the password crosses it as it is"
    return Check("kafka access", True, ", ".join(parts), hint or _unchecked_name(settings, "kafka"))


def _redis(settings: RedisSettings) -> Check:
    try:
        user = RedisCalls(settings).user
    except StreamAppError as error:
        return Check("redis access", False, str(error), error.hint)
    login = f"user {user}" if user else "no login"
    detail = f"{login}, {_tls(settings, settings.uses_tls)}"
    hint = ""
    if user and not settings.uses_tls:
        hint = "use rediss://, unless nobody else is on this network"
    return Check("redis access", True, detail, hint or _unchecked_name(settings, "redis"))


def _tls(settings: TlsSettings, used: bool) -> str:
    if not used:
        return "not encrypted"
    authorities = settings.ssl_ca_file or "the system's authorities"
    own = ", with a client certificate" if settings.ssl_cert_file else ""
    return f"encrypted, certificates of {authorities}{own}"


def _unchecked_name(settings: TlsSettings, section: str) -> str:
    if settings.ssl_check_hostname:
        return ""
    return f"set {section}.ssl_check_hostname to true, or others can pose as the server"


def _web(settings: WebSettings) -> Check:
    if not settings.port:
        return Check("http port", True, "none")
    reached = "this machine only" if settings.is_local else "others, too"
    asked = "/metrics asks for the token" if settings.token.get_secret_value() else "no token"
    detail = f"{settings.host}:{settings.port}, reached by {reached}; {asked}"
    return Check("http port", True, detail)

"""The credentials for Kafka in the form in which Faust wants them."""

from __future__ import annotations

import faust
from faust.types.auth import CredentialsT

from stream_app.settings import KafkaSettings
from stream_app.streams.tls import tls_context


def broker_credentials(settings: KafkaSettings) -> CredentialsT | None:
    """The same login and encryption as all other clients have. Raises ConfigError."""
    context = tls_context(settings, "kafka") if settings.uses_tls else None
    if settings.uses_sasl:
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=settings.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None

"""The TLS context that Kafka's and Redis's clients share."""

from __future__ import annotations

import ssl

from stream_app.connections import TlsSettings
from stream_app.errors import ConfigError


def tls_context(settings: TlsSettings, section: str) -> ssl.SSLContext:
    """Verifies the server always, and its name unless the settings say otherwise.

    Raises
    ------
    ConfigError
        A file cannot be used; it is named by its setting in `section` ("kafka" or "redis").
    """
    context = ssl.create_default_context()
    if settings.ssl_ca_file:
        context = _trusting(settings.ssl_ca_file, section)
    context.check_hostname = settings.ssl_check_hostname
    if settings.ssl_cert_file:
        password = settings.ssl_key_password.get_secret_value()
        try:
            # Always a password: without one OpenSSL asks for it on the terminal.
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, lambda: password)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{section}.ssl_cert_file and {section}.ssl_key_file cannot be used: "
                f"{_reason(error)}",
                hint="both must be PEM and belong together, and an encrypted key needs "
                f"{section}.ssl_key_password",
            ) from None
    return context


def _trusting(ca_file: str, section: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(
            f"{section}.ssl_ca_file, {ca_file}, cannot be used: {_reason(error)}",
            hint="it must be a PEM file with the certificates of the authorities",
        ) from None


def _reason(error: Exception) -> str:
    """OpenSSL's reason without its source lines, or the system's."""
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)

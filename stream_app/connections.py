"""Settings of everything that is reached over the network, and what fits together in them.

Kept beside `settings.py`, which has all other sections. Contradictions are refused when settings
are loaded, by the name of the setting and never with a value.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

_MIN_TOKEN = 16
"""Characters. Shorter tokens can be found by trying."""


class Section(BaseModel):
    """One table of the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TlsSettings(Section):
    """Files for TLS, the same for every server."""

    ssl_ca_file: str = ""
    """PEM file with the certificate authorities that are believed. Empty: those of the system."""
    ssl_cert_file: str = ""
    """PEM file with this client's own certificate, where the server asks for one."""
    ssl_key_file: str = ""
    """PEM file with the private key that belongs to `ssl_cert_file`."""
    ssl_key_password: SecretStr = SecretStr("")
    """Password of `ssl_key_file`. Empty: the key is not encrypted."""
    ssl_check_hostname: bool = True
    """Whether the server's name must be in its certificate. Off: any server with a certificate of
    a believed authority can pose as this one."""

    @property
    def has_tls_files(self) -> bool:
        """Whether anything is set that only means something with TLS."""
        return bool(self.ssl_ca_file or self.ssl_cert_file or self.ssl_key_file)

    @model_validator(mode="after")
    def _files_fit(self) -> TlsSettings:
        if self.ssl_cert_file and not self.ssl_key_file:
            raise ValueError("ssl_cert_file is given without ssl_key_file")
        if self.ssl_key_file and not self.ssl_cert_file:
            raise ValueError("ssl_key_file is given without ssl_cert_file")
        if self.ssl_key_password.get_secret_value() and not self.ssl_key_file:
            raise ValueError("ssl_key_password is given without ssl_key_file")
        for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
            file = getattr(self, name)
            if file and not Path(file).is_file():
                raise ValueError(f"{name} names {file}, which is not a file")
        return self


class KafkaSettings(TlsSettings):
    """How to reach Kafka."""

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """host:port, several separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As the listener of the brokers has it. SASL: with user and password; SSL: encrypted."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is proved. PLAIN sends it as it is."""
    sasl_username: str = ""
    """User, for a protocol with SASL."""
    sasl_password: SecretStr = SecretStr("")
    """Password of that user."""
    group: Annotated[str, Field(min_length=1, max_length=200)] = "stream-app"
    """Consumer group of the workers. Two groups must not share one Redis prefix."""
    topic_prefix: str = ""
    """Put before every topic name, e.g. `staging.`."""
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 10_000
    """A worker that is silent for so long loses its partitions."""
    max_poll_interval_ms: Annotated[int, Field(ge=1_000)] = 300_000
    """A worker that does not ask for records for so long leaves the group."""
    request_timeout_ms: Annotated[int, Field(ge=1_000)] = 20_000
    """How long to wait for an answer of the broker."""
    linger_ms: Annotated[int, Field(ge=0, le=1_000)] = 0
    """How long the producer waits to fill a batch. 0: it sends at once."""

    @property
    def uses_sasl(self) -> bool:
        """Whether a user logs in with a password."""
        return self.security_protocol.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")

    @model_validator(mode="after")
    def _credentials_fit(self) -> KafkaSettings:
        password = self.sasl_password.get_secret_value()
        if self.uses_sasl and not self.sasl_username:
            raise ValueError(f"sasl_username is missing for {self.security_protocol}")
        if self.uses_sasl and not password:
            raise ValueError(f"sasl_password is missing for {self.security_protocol}")
        for name, given in (("sasl_username", self.sasl_username), ("sasl_password", password)):
            if given and not self.uses_sasl:
                raise ValueError(
                    f"{name} is given, but security_protocol is {self.security_protocol}, which "
                    "has no login; set it to SASL_SSL or SASL_PLAINTEXT"
                )
        if self.has_tls_files and not self.uses_tls:
            raise ValueError(
                f"a file for TLS is given, but security_protocol is {self.security_protocol}, "
                "which is not encrypted; set it to SSL or SASL_SSL"
            )
        return self


class RedisSettings(TlsSettings):
    """How to reach Redis."""

    url: SecretStr = SecretStr("redis://localhost:6379/0")
    """redis:// URL, or rediss:// for TLS. Never shown, because it may have user and password."""
    username: str = ""
    """ACL user, unless the URL has one. Giving it in both places is refused."""
    password: SecretStr = SecretStr("")
    """Password, unless the URL has one. Giving it in both places is refused."""
    prefix: str = "sa"
    """First part of every key."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How long to wait for an answer before the connection is discarded."""
    load_chunk: Annotated[int, Field(ge=1, le=8_000)] = 1_000
    """Accounts per call when a partition's state is loaded."""

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.get_secret_value().startswith("rediss:")

    @model_validator(mode="after")
    def _encryption_fits(self) -> RedisSettings:
        if self.has_tls_files and not self.uses_tls:
            raise ValueError("a file for TLS is given, but url does not begin with rediss://")
        return self


class WebSettings(Section):
    """The HTTP port with /metrics, /health/live and /health/ready."""

    host: str = "127.0.0.1"
    """Address that the port is opened on. `0.0.0.0`: all of the machine's. Any that is not this
    machine's own loopback address needs a `token`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8_080
    """0: no HTTP port at all."""
    token: SecretStr = SecretStr("")
    """What a caller of /metrics must send as `Authorization: Bearer …`, at least 16 characters.
    Empty: nothing is asked for. The health pages, which say yes or no, never ask for it."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the port."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"

    @model_validator(mode="after")
    def _token_fits(self) -> WebSettings:
        token = self.token.get_secret_value()
        if not token and self.port and not self.is_local:
            raise ValueError(
                f"token is needed when host is {self.host or 'empty'}, which others can reach; "
                "set STREAM_APP_WEB__TOKEN, or STREAM_APP_WEB__TOKEN_FILE to a file with it"
            )
        if token and len(token) < _MIN_TOKEN:
            raise ValueError(f"token has fewer than {_MIN_TOKEN} characters")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("token has signs that a header cannot carry")
        return self

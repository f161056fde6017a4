"""A Kafka broker that knows its users: SASL, TLS and an authorizer that denies by default.

Who comes through `Service.address` is an administrator without a password; every other listener
asks for credentials, and grants only what the access control list says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services.base import Service, free_port
from tests.services.certificates import Certificates
from tests.services.kafka import from_maven

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
MECHANISMS = ("PLAIN", *SCRAM)
PROTOCOLS = ("SASL_SSL", "SASL_PLAINTEXT", "SSL")


@dataclass(frozen=True)
class SecuredKafka:
    """The broker, and where it listens for whom."""

    service: Service
    listeners: Mapping[str, str]
    """host:port by security protocol."""
    passwords: Mapping[str, str]
    """By user, for every mechanism of SASL."""
    certificates: Certificates


def secured_kafka(certificates: Certificates, passwords: Mapping[str, str]) -> SecuredKafka:
    """A broker of one's own, not started yet. With TLS but without SASL, a client shows a
    certificate, and its common name is the user. Raises UnavailableError without Java and Maven.
    """
    ports = {protocol: free_port() for protocol in PROTOCOLS}

    def configure(settings: dict[str, str], _: Path) -> list[str]:
        _add_listeners(settings, ports)
        _add_users(settings, passwords)
        settings |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificates.server.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(certificates.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": "User:ANONYMOUS",  # the broker itself, and the tests beside it
        }
        return [
            f"--add-scram={mechanism}=[name={user},password={password}]"
            for mechanism in SCRAM
            for user, password in passwords.items()
        ]

    listeners = {protocol: f"localhost:{port}" for protocol, port in ports.items()}
    return SecuredKafka(from_maven(configure), listeners, passwords, certificates)


def _add_listeners(settings: dict[str, str], ports: Mapping[str, int]) -> None:
    for protocol, port in ports.items():
        settings["listeners"] += f",{protocol}://127.0.0.1:{port}"
        settings["advertised.listeners"] += f",{protocol}://localhost:{port}"
        settings["listener.security.protocol.map"] += f",{protocol}:{protocol}"


def _add_users(settings: dict[str, str], passwords: Mapping[str, str]) -> None:
    settings["sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
    users = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
    package = "org.apache.kafka.common.security"
    modules = {
        "plain": f"{package}.plain.PlainLoginModule required {users};",
        **{name.lower(): f"{package}.scram.ScramLoginModule required;" for name in SCRAM},
    }
    for listener in ("sasl_ssl", "sasl_plaintext"):
        for mechanism, module in modules.items():
            settings[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = module

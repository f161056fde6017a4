"""Login and encryption against real servers: every way in works, and no way around."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from stream_app.errors import ConfigError, Unavailable
from stream_app.settings import KafkaSettings, RedisSettings
from stream_app.streams.kafka_admin import partition_counts
from stream_app.streams.redis_store import RedisStore
from stream_app.streams.tls import tls_context
from tests.access.conftest import UNCLOSED, kafka_as
from tests.services import Service, redis
from tests.services.certificates import CLIENT, KEY_PASSWORD, Certificates
from tests.services.redis_users import WORKER, as_user
from tests.services.secured_kafka import MECHANISMS, SecuredKafka

pytestmark = [pytest.mark.integration, *UNCLOSED]


# Kafka


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_every_way_to_log_in_to_kafka(
    secured: SecuredKafka, protocol: str, mechanism: str
) -> None:
    settings = kafka_as(secured, CLIENT, protocol, sasl_mechanism=mechanism)
    assert "website-visits" in await partition_counts(settings)
    wrong = settings.model_copy(update={"sasl_password": SecretStr("wrong")})
    with pytest.raises(ConfigError, match="SaslAuthenticationFailed") as caught:
        await partition_counts(wrong)
    assert "kafka.sasl_" in caught.value.hint


def by_certificate(secured: SecuredKafka, **more: Any) -> KafkaSettings:
    client = secured.certificates.client
    given: dict[str, Any] = {
        "bootstrap_servers": secured.listeners["SSL"],
        "security_protocol": "SSL",
        "ssl_ca_file": str(secured.certificates.ca),
        "ssl_cert_file": str(client.certificate),
        "ssl_key_file": str(client.key),
        "ssl_key_password": KEY_PASSWORD,
    }
    return KafkaSettings(**{**given, **more})


async def test_a_certificate_is_a_user_of_kafka(secured: SecuredKafka) -> None:
    counts = await partition_counts(by_certificate(secured))
    assert "website-visits" in counts, f"{CLIENT} may see it, others may not"
    none = {"ssl_cert_file": "", "ssl_key_file": "", "ssl_key_password": ""}
    with pytest.raises(Unavailable):
        await partition_counts(by_certificate(secured, **none))


async def test_kafka_must_prove_who_it_is(secured: SecuredKafka) -> None:
    for authority in (str(secured.certificates.other_ca), ""):
        settings = kafka_as(secured, CLIENT, ssl_ca_file=authority)
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await partition_counts(settings)
        assert "kafka.ssl_ca_file" in caught.value.hint


# Redis


def redis_settings(service: Service, certificates: Certificates, **more: Any) -> RedisSettings:
    given: dict[str, Any] = {
        "url": as_user(service.url, WORKER),
        "timeout_seconds": 5.0,
        "ssl_ca_file": str(certificates.ca),
        "ssl_cert_file": str(certificates.client.certificate),
        "ssl_key_file": str(certificates.client.key),
        "ssl_key_password": KEY_PASSWORD,
    }
    return RedisSettings(**{**given, **more})


async def start(settings: RedisSettings) -> None:
    store = RedisStore(settings)
    try:
        await store.start()
    finally:
        await store.stop()


async def test_redis_with_tls(tls_redis: Service, certificates: Certificates) -> None:
    await start(redis_settings(tls_redis, certificates))


async def test_redis_asks_for_a_certificate(tls_redis: Service, certificates: Certificates) -> None:
    none = {"ssl_cert_file": "", "ssl_key_file": "", "ssl_key_password": ""}
    with pytest.raises(Unavailable):
        await start(redis_settings(tls_redis, certificates, **none))


async def test_redis_must_prove_who_it_is(tls_redis: Service, certificates: Certificates) -> None:
    for authority in (str(certificates.other_ca), ""):
        with pytest.raises(Unavailable, match="certificate verify failed") as caught:
            await start(redis_settings(tls_redis, certificates, ssl_ca_file=authority))
        assert "redis.ssl_ca_file" in caught.value.hint


@pytest.mark.parametrize("identity", ["elsewhere", "expired"])
async def test_a_certificate_of_another_name_or_time_is_refused(
    certificates: Certificates, identity: str
) -> None:
    wrong = replace(certificates, server=getattr(certificates, identity))
    with redis(own=True, certificates=wrong) as service:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await start(redis_settings(service, certificates))
        unchecked = redis_settings(service, certificates, ssl_check_hostname=False)
        if identity == "elsewhere":
            await start(unchecked)
        else:
            with pytest.raises(Unavailable, match="expired"):
                await start(unchecked)


# Files


@pytest.mark.parametrize("section", ["kafka", "redis"])
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ssl_ca_file": "client.key"}, "ssl_ca_file"),
        ({"ssl_key_password": "planted-wrong"}, "ssl_key_password"),
        ({"ssl_key_password": ""}, "ssl_key_password"),
        ({"ssl_key_file": "server.key"}, "ssl_key_file"),
        ({"ssl_cert_file": "client.key"}, "ssl_cert_file"),
    ],
)
def test_files_that_do_not_fit_are_named(
    certificates: Certificates, section: str, wrong: dict[str, str], named: str
) -> None:
    folder = certificates.ca.parent
    given = {
        "ssl_ca_file": str(certificates.ca),
        "ssl_cert_file": str(certificates.client.certificate),
        "ssl_key_file": str(certificates.client.key),
        "ssl_key_password": KEY_PASSWORD,
    }
    changed = {
        name: value if name == "ssl_key_password" else str(folder / value)
        for name, value in wrong.items()
    }
    settings = RedisSettings(**{**given, **changed, "url": "rediss://x"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"{section}\.ssl_") as caught:
        tls_context(settings, section)
    shown = f"{caught.value} {caught.value.hint}"
    assert f"{section}.{named}" in shown
    assert "planted" not in shown

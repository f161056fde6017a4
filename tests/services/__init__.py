"""A real Kafka and a real Redis for the tests, started and stopped by the tests.

    with kafka() as broker, redis() as store:
        broker.address, store.url

`python -m tests.services` keeps both running for a developer.
"""

from tests.services.base import Service, ServiceError
from tests.services.kafka import kafka
from tests.services.redis import redis

__all__ = ["Service", "ServiceError", "kafka", "redis"]

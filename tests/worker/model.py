"""Models for tests of the worker."""

from __future__ import annotations

from tests.engine.scenario import snapshot

RESTLESS = snapshot(
    1,
    {"silence_days": 20.0},
    {"silence_days": 0.6, "web_visits_7d": 2.0, "web_visits_28d": 3.0},
    {"web_visits_7d": 12.0, "web_visits_28d": 18.0, "contacts_28d": 3.0},
    {"silence_days": 0.6, "downloads_decision_28d": 1.5},
    {"downloads_decision_28d": 6.0, "contacts_28d": 3.0},
    {"silence_days": 0.6, "email_clicks_28d": 2.0},
    {"email_clicks_28d": 9.0, "contacts_28d": 3.0},
)
"""Centres so close to what the scenario's accounts do that they often change."""

"""Encrypted connections between our own processes: whom to trust, and what to show."""

from __future__ import annotations

import ssl

from config.settings import Agent, Cluster


def serving(agent: Agent) -> ssl.SSLContext | None:
    """What an agent's endpoint shows; None: it is not encrypted.

    Raises:
        OSError: certificate or key cannot be read (``ssl.SSLError`` is one).
    """
    if agent.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(agent.tls_cert, agent.tls_key)
    return context


def trusting(cluster: Cluster) -> ssl.SSLContext:
    """Whose certificates are believed: the system's, and those of ``cluster.ca``.

    Raises:
        OSError: the file cannot be read (``ssl.SSLError`` is one).
    """
    context = ssl.create_default_context()
    if cluster.ca is not None:
        context.load_verify_locations(cluster.ca)
    return context

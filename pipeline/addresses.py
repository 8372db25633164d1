"""Which addresses of services are accepted: keys and texts travel encrypted, or not at all."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from pipeline.errors import UserError

PRIVATE = tuple(
    ip_network(block)
    for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")
)
PRIVATE_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
"""Never public: RFC 6762, 8375 and 6761, ICANN's reservation of .internal, routers' habit."""


def checked(url: str, *, lan: bool = False) -> str:
    """The address without a slash at its end.

    ValueError unless it is https, or plain http to this machine; with `lan` plain http may also
    go to a private address, or to a name that is never public.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("holds a space or a character that no address has")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("has a host or a port that cannot be read") from None
    if not host:
        raise ValueError("must be an address like https://example.com")
    if parts.username is not None:
        raise ValueError("must not hold a name or a password")
    if parts.scheme == "https" or (parts.scheme == "http" and is_near(host, lan=lan)):
        return url.rstrip("/")
    where = "this machine or a private network" if lan else "this machine"
    raise ValueError(f"must start with https:// (plain http only to {where})")


def checked_setting(url: str, name: str, *, lan: bool = False) -> str:
    """As `checked`, for who may be given a setting that nobody has looked at: UserError."""
    try:
        return checked(url, lan=lan)
    except ValueError as error:
        raise UserError(f"{name} {error}.") from None


def is_near(host: str, *, lan: bool) -> bool:
    """Whether the host is this machine, or with `lan` surely not on the public internet."""
    if host == "localhost":
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        # A name without a dot is that of a container or of a machine in the house.
        return lan and ("." not in host or host.endswith(PRIVATE_SUFFIXES))
    return ip.is_loopback or (lan and any(ip in block for block in PRIVATE))


def is_in_the_clear(url: str) -> bool:
    """Whether others on the way could read what is sent."""
    return urlsplit(url).scheme == "http" and not is_near(host_of(url), lan=False)


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""

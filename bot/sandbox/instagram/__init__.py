from bot.sandbox.instagram.faults import (
    FAILED_AFTER,
    HTML,
    Drop,
    Expired,
    Fault,
    ForeignUpload,
    Late,
    Lost,
    Reply,
    Truncated,
    refusal,
)
from bot.sandbox.instagram.records import Container, Post, Request
from bot.sandbox.instagram.sandbox import InstagramSandbox
from bot.sandbox.instagram.tokens import Token

__all__ = [
    "FAILED_AFTER",
    "HTML",
    "Container",
    "Drop",
    "Expired",
    "Fault",
    "ForeignUpload",
    "InstagramSandbox",
    "Late",
    "Lost",
    "Post",
    "Reply",
    "Request",
    "Token",
    "Truncated",
    "refusal",
]

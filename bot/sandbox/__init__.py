"""Loopback stand-ins for Discord and Instagram (demo and tests); imports nothing of ours."""

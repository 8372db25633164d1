from bot.sandbox.discord.client import NotPossible
from bot.sandbox.discord.gateway import Intents
from bot.sandbox.discord.interaction import Interaction
from bot.sandbox.discord.permissions import Permission
from bot.sandbox.discord.sandbox import DiscordSandbox
from bot.sandbox.discord.state import Channel, Guild, Member, Message, Role, User

__all__ = [
    "Channel",
    "DiscordSandbox",
    "Guild",
    "Intents",
    "Interaction",
    "Member",
    "Message",
    "NotPossible",
    "Permission",
    "Role",
    "User",
]

"""What is known of a business number, as the judge needs it (domain 2.4, 3.8; design 15)."""

from dataclasses import dataclass
from typing import Literal

from schemas.policy import Policy


@dataclass(frozen=True)
class Setting:
    """A settings webhook: calling is on, or off."""

    at: int
    enabled: bool


@dataclass(frozen=True)
class Restriction:
    """A restriction of calls until an instant; `restricts`: whose calls."""

    at: int
    restricts: Literal["business_initiated", "user_initiated", "both"]
    until: int


@dataclass(frozen=True)
class Business:
    """One business number."""

    profile: Literal["production", "sandbox"] = "production"
    country: str | None = None
    settings: tuple[Setting, ...] = ()
    restrictions: tuple[Restriction, ...] = ()

    def threshold(self, name: str, at: int, policy: Policy) -> int:
        """A figure of its profile, at an instant."""
        return policy.profiles[self.profile].at(name, at)

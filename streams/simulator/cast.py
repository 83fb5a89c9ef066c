"""Who and what the pretend world is made of: business numbers, users, templates, campaigns, and how people tend to
behave.

Owns names and odds. Refuses chance: odds are data here, dice are thrown in `world.py`. Numbers come from the ranges
reserved for drama: a business number has at most 1,000 users (447700900000 to 447700900999); more pairs need more
numbers.
"""

from dataclasses import dataclass

from streams.simulator.happenings import Answer, Origin, Pair, Template

USERS_PER_NUMBER = 1_000
MOST_NUMBERS = 1_000

TEMPLATES = (
    Template(name="order_call_permission", language="en_GB", category="UTILITY"),
    Template(name="order_call_permission", language="es", category="UTILITY"),
    Template(name="appointment_call_permission", language="en_GB", category="UTILITY"),
    Template(name="renewal_offer_call", language="en_GB", category="MARKETING"),
    Template(name="welcome_call", language="de", category="MARKETING"),
)
CAMPAIGNS: tuple[str | None, ...] = ("spring-renewals", "welcome-calls", "late-deliveries", None)
ORIGINS: tuple[Origin, ...] = ("conversation", "call_dialog", "broadcast", "call_page", "api")
TEXTS = (
    "Hello",
    "Is my order on its way?",
    "Thanks, that helps",
    "Can we talk about this tomorrow?",
    "¿Hay alguien? 👋",
)
NAMES = ("Test User", "Ana Tester", "Zoë Sample", "Sam Example", "Łukasz Próba")


@dataclass(frozen=True, slots=True)
class Odds:
    """How often users answer a request in each way; what is left of 1 is silence."""

    temporary: float
    permanent: float
    reject: float


# A reason in the text raises approval, an offer lowers it: else every template would look the same on the page.
FREE_FORM_ODDS = Odds(0.36, 0.24, 0.10)
ODDS = {"UTILITY": Odds(0.34, 0.20, 0.13), "MARKETING": Odds(0.24, 0.09, 0.25)}

FAILS = 0.06
NEVER_ARRIVES = 0.05
IS_READ = 0.78
ONLY_READ_IS_REPORTED = 0.03
CHANGES_MIND = 0.16
REVOKES_IN_PROFILE = 0.08
GRANTS_IN_PROFILE = 0.05
CHATS = 0.40
GETS_ANOTHER_MESSAGE = 0.25
IS_ASKED_AGAIN = 0.55

# What a second thought turns into, by what came first.
SECOND_THOUGHTS: dict[Answer, tuple[Answer, ...]] = {
    "temporary": ("reject", "permanent"),
    "permanent": ("reject", "reject", "temporary"),
    "reject": ("temporary", "permanent"),
}


def odds_of(template: Template | None) -> Odds:
    return FREE_FORM_ODDS if template is None else ODDS[template.category]


def cast(pairs: int, numbers: int) -> list[Pair]:
    """`pairs` pairs, dealt out to `numbers` business numbers, or more where 1,000 users each do not suffice."""
    numbers = max(numbers, -(-pairs // USERS_PER_NUMBER))
    if numbers > MOST_NUMBERS:
        raise ValueError(
            f"pairs is {pairs}: at most {USERS_PER_NUMBER * MOST_NUMBERS} fit into the reserved number ranges"
        )
    return [_pair(index % numbers, index // numbers) for index in range(pairs)]


def _pair(number: int, user: int) -> Pair:
    return Pair(
        phone_number_id=str(700_100_200_300_400 + number),
        display_phone_number=str(442_079_460_000 + (123 + number) % MOST_NUMBERS),
        waba_id=str(900_100_200_300_400 + number % 2),
        user=str(447_700_900_000 + user),
        user_id=f"GB.{10_000_000_000_000_000_000 + user}",
        profile_name=NAMES[user % len(NAMES)],
    )

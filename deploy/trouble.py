"""What a person must mend, told in one text without a traceback.

Owns the one base of such errors, and the code a command ends with when it meets one. Refuses to be used for a fault of
our own: that keeps its traceback.
"""

from typing import ClassVar


class Trouble(Exception):
    """The text says what is wrong and what to change."""

    exit_code: ClassVar[int] = 1

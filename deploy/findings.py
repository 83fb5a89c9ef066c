"""One finding of the doctor, and the three verdicts.

Owns their form. Refuses to look: `deploy.doctor` and `deploy.doctor_worker` do.
"""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One look at one thing. `mend`: what to do, empty when all is well."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""


def bad(check: str, found: str, mend: str) -> Finding:
    return Finding(check=check, verdict="bad", found=found, mend=mend)


def warning(check: str, found: str, mend: str) -> Finding:
    return Finding(check=check, verdict="warning", found=found, mend=mend)

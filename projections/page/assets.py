"""The page's files: plotly's script out of the installed package, our script and style sheet. No CDN.

Owns their names: each carries a digest of its content, so that a browser may keep it for ever and never keeps a stale
one.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from plotly.offline import get_plotlyjs

_STATIC: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it is served."""

    path: str
    media_type: str
    content: bytes
    zipped: bytes


@cache
def assets() -> dict[str, Asset]:
    """By short name. Reads and packs some 5 MB once: call it outside the event loop."""
    return {
        "plotly": _asset("plotly", "js", get_plotlyjs().encode()),
        "draw": _asset("draw", "js", (_STATIC / "draw.js").read_bytes()),
        "style": _asset("style", "css", (_STATIC / "style.css").read_bytes()),
    }


def _asset(name: str, kind: str, content: bytes) -> Asset:
    return Asset(
        path=f"/assets/{name}.{sha256(content).hexdigest()[:16]}.{kind}",
        media_type={"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}[kind],
        content=content,
        zipped=gzip.compress(content, 6, mtime=0),
    )

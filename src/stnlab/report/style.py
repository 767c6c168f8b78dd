"""How all figures look."""

import io
import warnings
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours, which colour-blind readers can tell apart; without the yellow, which
# white paper swallows, and with a grey for an eighth. Markers say the same again.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#767676")
MARKERS = "osD^vPX*"
GREY = "#767676"
_DPI = 110


def colour(index: int) -> str:
    """The colour of the curve of that number."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the curve of that number."""
    return MARKERS[index % len(MARKERS)]


def plain(text: str) -> str:
    """``text`` without a meaning to matplotlib, which reads mathematics between dollar signs."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the PNG ``path``; folders are made."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # A class may be named in a script that matplotlib's font lacks; tables have it in full.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(drawn, dpi=_DPI)
    # A third of the bytes, and no difference to see: figures have few colours.
    Image.open(drawn).convert("RGB").quantize(256).save(path, "PNG", optimize=True)

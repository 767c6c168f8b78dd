"""How all figures look."""

import io
import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

# Okabe and Ito's colours, which colour-blind readers can tell apart; without the yellow, which
# white paper swallows, and with a grey for an eighth. Markers say the same again.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#767676")
MARKERS = "osD^vPX*"
GREY = "#767676"
_DPI = 110
_HOVER, _HOVER_ALONE = "hover: ", "hover alone: "
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LONG_NUMBER, _FONTS = re.compile(r"-?\d+\.\d{3,}"), re.compile("'DejaVu Sans'.*?sans-serif")
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def colour(index: int) -> str:
    """The colour of the curve of that number."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the curve of that number."""
    return MARKERS[index % len(MARKERS)]


def plain(text: str) -> str:
    """``text`` without a meaning to matplotlib, which reads mathematics between dollar signs.

    Characters that do not show, which no font has, are replaced.
    """
    shown = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
    return shown.replace("$", r"\$")


def say(artist: Artist, text: str) -> None:
    """Show ``text`` to who points at a marker in an SVG, or near it."""
    hidden = artist.get_alpha() == 0
    artist.set_gid(f"{_HOVER_ALONE if hidden else _HOVER}{text}")


def alone_below(figure: Figure, title: str, fontsize: float) -> Axes:
    """Axes without axes, for pictures and words on them, below a title of a line or two.

    One for all, as to lay out many takes seconds.
    """
    figure.suptitle(plain(title), fontsize=fontsize)
    inches = 0.12 + 1.4 * fontsize / 72 * (1 + title.count("\n"))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98 - inches / figure.get_figheight()))
    axes.set_axis_off()
    return axes


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """(H, W, 3) of a figure, drawn once: matplotlib's ``savefig`` draws a first time for layout."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    with warnings.catch_warnings():
        _allow_strange_scripts()
        canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())
    return drawn[..., :3].copy()


def save(figure: Figure, path: Path) -> None:
    """Write the PNG or SVG ``path``; folders are made."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".svg":
        # A third of the bytes, and no difference to see: figures have few colours.
        Image.fromarray(pixels(figure)).quantize(256).save(path, "PNG", optimize=True)
        return
    drawn = io.BytesIO()
    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stnlab"}),
    ):
        _allow_strange_scripts()
        layout = figure.get_layout_engine()
        if layout is not None:  # which savefig would draw the whole figure for
            layout.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    path.write_bytes(_lean(drawn.getvalue().decode("utf-8", "replace"), path.stem))


def _allow_strange_scripts() -> None:
    # A class may be named in a script that matplotlib's font lacks; tables have it in full.
    warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)


def _lean(svg: str, name: str) -> bytes:
    """An SVG that can stand in a page beside others: what it says on hover, no needless bytes."""
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", svg))
    dropped = {f"{{{_SVG}}}{tag}" for tag in ("style", "metadata")}
    used = set(re.findall(r"(?:url\(|xlink:href=\")#([^)\"]+)", svg))
    for node in root.iter():
        node.tail = None
        node.text = node.text and (node.text.strip() or None)
        for child in list(node):
            if child.tag in dropped:
                node.remove(child)
        identity = node.attrib.pop("id", "")
        is_alone = identity.startswith(_HOVER_ALONE)
        if is_alone or identity.startswith(_HOVER):
            marker = node.find(f".//{{{_SVG}}}use")
            assert marker is not None
            place = {"cx": marker.get("x", ""), "cy": marker.get("y", ""), "r": "6"}
            if is_alone:
                node.clear()
            around = ElementTree.SubElement(node, f"{{{_SVG}}}circle", place, opacity="0")
            said = identity.removeprefix(_HOVER_ALONE).removeprefix(_HOVER)
            ElementTree.SubElement(around, f"{{{_SVG}}}title").text = said
        elif identity in used:
            node.set("id", f"{name}-{identity}")
        for key, value in node.items():
            lean = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value)
            lean = _FONTS.sub("Verdana, sans-serif", lean).replace("url(#", f"url(#{name}-")
            own = key.endswith("href") and lean.startswith("#")
            node.set(key, f"#{name}-{lean[1:]}" if own else lean)
    root.set("style", "stroke-linejoin: round")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    written: bytes = ElementTree.tostring(root, encoding="utf-8")
    return written

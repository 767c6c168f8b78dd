"""Markdown from data, and a self-contained page from Markdown.

The page can be read without its script, which sorts and filters tables; no other script may run.

What comes from outside (names, errors, settings) is text wherever it is shown: it can open no tag,
no link and no table cell.
"""

import base64
import hashlib
import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_TEMPLATES = Path(__file__).parent / "templates"
_LONG_CELL = 16  # characters from which a cell may be folded
_SPECIAL = re.compile(r"([\\`*_\[\]<>|&~#!$])")
# What opens a list or underlines a heading, where it begins a line.
_LINE_START = re.compile(r"^ ?([-+](?= |$)|[-=]+(?= ?$)|\d+[.)](?= |$))")


class Markup(str):
    """Markdown that is meant as such."""

    __slots__ = ()


def one_line(text: object) -> str:
    """``text`` on one line, without characters that do not show."""
    return "".join(
        each if each.isprintable() else "\ufffd" for each in re.sub(r"\s+", " ", str(text))
    )


def escape(text: object) -> Markup:
    """``text`` on one line, as Markdown that shows just that."""
    if isinstance(text, Markup):
        return text
    escaped = _SPECIAL.sub(r"\\\1", one_line(text))
    return Markup(_LINE_START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped))


def code_block(text: str) -> Markup:
    """``text``, on one line, as a block of code, with a fence that it does not hold."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}\n{one_line(text)}\n{fence}")


def render(template: str, filters: Mapping[str, Any], **context: Any) -> str:
    """Fill a Markdown template; every value is escaped unless it is :class:`Markup`."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=escape,
        autoescape=False,  # Markdown has its own escape, above
    )
    environment.filters.update(filters)
    text = environment.get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def to_html(markdown: str, title: str, images: Mapping[str, Path]) -> str:
    """A page that needs no other file.

    Args:
        markdown: HTML in it is shown as text.
        title: of the page.
        images: the PNGs and SVGs behind the links that images have; no other image is shown, and
            an SVG must be our own, as it becomes a part of the page.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    environment: EnvType = {"images": images}
    tokens = _with_captions(parser.parse(markdown, environment))
    _label_cells(tokens)
    contents = list(_anchor_headings(tokens))
    head, title_end, body = parser.renderer.render(tokens, parser.options, environment).partition(
        "</h1>\n"
    )
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    page = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    return page.get_template("page.html").render(
        title=one_line(title),
        head=head + title_end,
        contents=contents,
        body=body,
        script=script,
        checksum=checksum,
    )


def _label_cells(tokens: Sequence[Token]) -> None:
    """Let long cells fold, and tell each cell its column, for where rows are shown as cards."""
    heads: list[str] = []
    column = 0
    for cell, text in pairwise(tokens):
        if cell.type == "thead_open":
            heads = []
        elif cell.type == "tr_open":
            column = 0
        elif cell.type == "th_open":
            cell.attrSet("scope", "col")
            heads.append(_plain_text(text))
        elif cell.type == "td_open":
            cell.attrSet("data-label", heads[column])
            column += 1
            if len(_plain_text(text)) > _LONG_CELL:
                cell.attrJoin("class", "long")


class Heading(NamedTuple):
    """A line of the contents."""

    level: int
    anchor: str
    text: str


def _anchor_headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Give each heading below the title a name to link to."""
    taken: set[str] = set()
    for opening, text in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag != "h1":
            words = _plain_text(text)
            plain = re.sub("[^a-z0-9]+", "-", words.lower()).strip("-") or "section"
            numbered = (f"{plain}-{number}" for number in count(2))
            anchor = next(each for each in chain([plain], numbered) if each not in taken)
            taken.add(anchor)
            opening.attrSet("id", anchor)
            link = {"href": f"#{anchor}", "class": "anchor", "aria-label": "link to this part"}
            text.children = [
                *(text.children or []),
                Token("link_open", "a", 1, attrs=dict(link)),
                Token("text", "", 0, content="#"),
                Token("link_close", "a", -1),
            ]
            yield Heading(int(opening.tag[1:]), anchor, words)


def _plain_text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


def _with_captions(tokens: Sequence[Token]) -> list[Token]:
    """Join a paragraph that is an image and the paragraph after it, its caption, to a figure."""
    joined: list[Token] = []
    position = 0
    while position < len(tokens):
        group = tokens[position : position + 6]
        if not _is_figure(group):
            joined.append(tokens[position])
            position += 1
            continue
        figure, image, _, caption, text, end = group
        figure.tag, caption.tag, end.tag = "figure", "figcaption", "figcaption"
        text.children = (text.children or [])[1:-1]  # without its emphasis
        joined += [figure, image, caption, text, end, Token("figure_close", "figure", -1)]
        position += 6
    return joined


def _is_figure(group: Sequence[Token]) -> bool:
    if [token.type for token in group] != ["paragraph_open", "inline", "paragraph_close"] * 2:
        return False
    image, caption = group[1].children or [], group[4].children or []
    return (
        [child.type for child in image] == ["image"]
        and len(caption) > 1
        and (caption[0].type, caption[-1].type) == ("em_open", "em_close")
    )


def _image(
    _: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    environment: EnvType,
) -> str:
    del options
    alt = html.escape(_plain_text(tokens[index]), quote=True)
    path = environment["images"].get(tokens[index].attrs["src"])
    if path is None:
        return alt
    content = path.read_bytes()
    if path.suffix == ".svg":  # in the page itself, so that it can say its values
        _, start, rest = content.decode("utf-8").partition("<svg ")
        return f'{start}role="img" aria-label="{alt}" {rest}'
    encoded = base64.b64encode(content).decode("ascii")
    return f'<img alt="{alt}" src="data:image/png;base64,{encoded}">'


def _table_open(*_: object) -> str:
    return '<div class="table" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"

"""Markdown from data, and a self-contained page from Markdown.

What comes from outside (names, errors, settings) is text wherever it is shown: it can open no tag,
no link and no table cell.
"""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_TEMPLATES = Path(__file__).parent / "templates"
_LONG_CELL = 28  # characters from which a cell may be folded
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
        images: the files behind the links that images have; no other image is shown.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    environment: EnvType = {"images": images}
    tokens = _with_captions(parser.parse(markdown, environment))
    for cell, text in pairwise(tokens):
        if cell.type == "td_open" and len(text.content) > _LONG_CELL:
            cell.attrJoin("class", "long")
    body = parser.renderer.render(tokens, parser.options, environment)
    page = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True)
    return page.get_template("page.html").render(title=one_line(title), body=body)


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
    alt = html.escape(_alt(tokens[index]), quote=True)
    path = environment["images"].get(tokens[index].attrs["src"])
    if path is None:
        return alt
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{alt}" src="data:image/png;base64,{content}">'


def _alt(image: Token) -> str:
    return "".join(child.content for child in image.children or [])


def _table_open(*_: object) -> str:
    return '<div class="table" tabindex="0"><table>\n'


def _table_close(*_: object) -> str:
    return "</table></div>\n"

"""The site shows the project's own files: a hook of MkDocs, which knows the folder docs/ alone.

README.md is its first page, docs/tour.ipynb its tour. Whatever else a page points at comes in under
its path, reports too.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)")
_RUN_FOLDER = re.compile(r"\[([^\]\n]*)\]\([^)\s:#]*/seed=\d+\)")  # these are not on the site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, with links as the site has them, and what they point at."""
    for file in list(files):
        if file.src_uri.endswith((".md", ".ipynb")):
            files.remove(file)
    left = [ROOT / name for name in ("README.md", "CHANGELOG.md", "docs/tour.ipynb")]
    left += sorted((ROOT / "docs").glob("*.md"))
    seen: set[Path] = set()
    while left:
        path = left.pop()
        place = _place(path)
        if path in seen or files.get_file_from_path(place):
            continue
        seen.add(path)
        if path.suffix in (".md", ".ipynb"):
            page, targets = _page(path)
            left += targets
            files.append(File.generated(config, place, content=page))
        else:
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def _place(path: Path) -> str:
    """Where a file of the project lies on the site."""
    if path == ROOT / "README.md":
        return "index.md"
    inside = path.relative_to(ROOT)
    if inside.parts[0] == "docs":
        inside = inside.relative_to("docs")
    return (inside.with_suffix(".md") if inside.suffix == ".ipynb" else inside).as_posix()


def _page(path: Path) -> tuple[str, list[Path]]:
    """A page's Markdown, and the files that it points at."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = _as_markdown(json.loads(text))
    targets = []

    def on_the_site(found: re.Match[str]) -> str:
        target = (path.parent / found[1]).resolve()
        if not target.is_file():
            return found[0]
        targets.append(target)
        link = os.path.relpath(_place(target), Path(_place(path)).parent)
        return f"]({link}{found[2] or ''})"

    return _LINK.sub(on_the_site, _RUN_FOLDER.sub(r"\1", text)), targets


def _as_markdown(notebook: dict[str, Any]) -> str:
    """A notebook's text, code and outputs; a figure is described by its cell's ``alt``."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
            else:
                png = "".join(output["data"]["image/png"]).replace("\n", "")
                parts.append(f"![{cell['metadata']['alt']}](data:image/png;base64,{png})")
    return "\n\n".join(parts) + "\n"

"""The documentation as a site: it builds without a warning, and its links lead somewhere."""

import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from stnlab.config import PROJECT_DIR


class _Page(HTMLParser):
    """What a page points at, and the places in it that can be pointed at."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places, self.sources = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.places |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.add(found["href"])
        is_sheet = tag == "link" and "stylesheet" in (found.get("rel") or "")
        source = found.get("href") if is_sheet else found.get("src")
        if source and tag != "a":
            self.sources.add(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="needs the extra 'docs'")
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_what_its_pages_point_at_is_there(site):
    pages = {
        path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    assert len(pages) > 20
    for path, page in pages.items():
        if path.name == "404.html":  # its links are those of a site at the root of its server
            continue
        for link in page.links | page.sources:
            scheme, host, target, _, place = urlsplit(link)
            if scheme or host:
                continue
            other = (path.parent / unquote(target)).resolve() if target else path
            assert other.is_file(), f"{path.relative_to(site)}: {link}"
            if place and other in pages and other.name != "explore-rot90.html":
                assert unquote(place) in pages[other].places, f"{path.relative_to(site)}: {link}"


def test_its_pages_need_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        sources = _Page(path.read_text(encoding="utf-8")).sources
        assert not [each for each in sources if urlsplit(each).netloc], path

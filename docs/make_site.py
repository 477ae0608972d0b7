"""`python docs/make_site.py`: gathers the pages of the documentation site in build/pages, for `make docs`.

README.md is the first page. Links become those of the site. Files outside docs/ that pages link, such as
benchmarks/README.md, are copied with the files that they link, below `repository/`.
"""

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
README = "README.md"
STYLE = "docs/site/site.css"  # of zensical.toml
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def main() -> None:
    """Write the pages and what they link, in place of those of the last time."""
    shutil.rmtree(PAGES, ignore_errors=True)
    paths = [README, STYLE, *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md")))]
    for path in paths:  # more are added below
        target = PAGES / find_place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            target.write_text(move_links(path, text), encoding="utf-8")
            paths += [link for link in dict.fromkeys(find_links(path, text)) if link not in paths]
        else:
            shutil.copyfile(ROOT / path, target)


def find_links(path: str, text: str) -> Iterator[str]:
    """Yield what a page links, as paths in the repository."""
    for link in _LINK.findall(text):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def move_links(path: str, text: str) -> str:
    """Return the text of a page with links to places in the site."""
    folder = posixpath.dirname(find_place(path))
    links = iter([posixpath.relpath(find_place(link), folder or ".") for link in find_links(path, text)])
    return _LINK.sub(lambda _: next(links), text)


def find_place(path: str) -> str:
    """Return the place in the site of a path in the repository."""
    if path == README:
        return "index.md"
    # The generator leaves out files whose name begins with a dot.
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path.removeprefix('.')}"


if __name__ == "__main__":
    main()

"""What the docs site adds to the pages: files outside docs/ that they link to, the list of decisions, and llms.txt."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r"\]\((?:\.\./)+((?:examples|otel-collector-config\.yaml|README\.md|CHANGELOG\.md)[^)#]*)")
"""A link that leaves docs/, as it must be written for whoever reads the repository."""
LIST = "<!-- the list is made when the site is built -->"

_titles: dict[str, tuple[str, str]] = {}
"""Title and first words of each page, by its address on the site."""


def on_files(files: Files, *, config: Any) -> Files:
    """The site serves the files that pages link to under `source/`."""
    for page in (ROOT / "docs").rglob("*.md"):
        for found in OUTSIDE.finditer(page.read_text()):
            target = ROOT / found[1]
            # A page brings what lies beside it, for it links to that.
            for one in target.parent.iterdir() if target.suffix == ".md" and target.parent != ROOT else [target]:
                name = f"source/{one.relative_to(ROOT)}"
                if one.is_file() and files.get_file_from_path(name) is None:
                    files.append(File.generated(config, name, content=one.read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Links that leave docs/ lead to the copies; the page of decisions lists them."""
    del config, files
    depth = page.file.src_uri.count("/")
    markdown = OUTSIDE.sub(lambda found: f"]({'../' * depth}source/{found[1]}", markdown)
    if LIST in markdown:
        rows = [f"- [{_title(one.read_text())}]({one.name})" for one in sorted((ROOT / "docs/decisions").glob("0*.md"))]
        markdown = markdown.replace(LIST, "\n".join(rows))
    _titles[page.file.dest_uri] = (_title(markdown), _first_words(markdown))
    return markdown


def on_post_build(*, config: Any) -> None:
    """`llms.txt` (llmstxt.org): every page with its first words, for programs that read documentation."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", "", "## Pages", ""]
    lines += [f"- [{title}]({uri}): {words}" for uri, (title, words) in sorted(_titles.items())]
    (Path(config.site_dir) / "llms.txt").write_text("\n".join(lines) + "\n")


def _title(markdown: str) -> str:
    return next(line[2:] for line in markdown.splitlines() if line.startswith("# "))


def _first_words(markdown: str) -> str:
    plain = [part for part in markdown.split("\n\n") if part and not part.startswith(("#", "|", "```", "<"))]
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", plain[0] if plain else "").replace("**", "").replace("\n", " ")
    return text.partition(". ")[0].rstrip(".:") + "."

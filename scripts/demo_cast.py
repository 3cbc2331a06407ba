"""Records the demonstration as an animated picture of a terminal, docs/demo.svg: `python scripts/demo_cast.py`."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI

from agent_fuse.demo.story import run

PAGE = Path(__file__).parents[1] / "docs" / "demo.svg"
WIDTH = 104
FRAME_SECONDS, LAST_SECONDS = 0.35, 4.0
TITLE = "agent-fuse demo"

_STYLE = """
    .frame {{ visibility: hidden; animation: {total:.2f}s step-end infinite; }}
{keyframes}"""


def drawn(frame: RenderableType, name: str) -> str:
    """One picture as SVG, its styles and ids named apart from those of others."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(frame)
    return console.export_svg(title=TITLE, theme=MONOKAI, unique_id=name)


def animated(frames: list[str], seconds: list[float]) -> str:
    """The pictures one after another, for ever, in one SVG that moves by CSS alone."""
    total, begun, keys, bodies = sum(seconds), 0.0, [], []
    for number, (frame, length) in enumerate(zip(frames, seconds, strict=True)):
        first, last = begun / total * 100, (begun + length) / total * 100
        begun += length
        hidden = "0% {visibility: hidden} " if number else ""
        keys.append(
            f"    @keyframes show{number} {{ {hidden}{first:.2f}% {{visibility: visible}} "
            f"{last:.2f}% {{visibility: hidden}} }} #frame{number} {{ animation-name: show{number} }}"
        )
        body = re.sub(r"^<svg[^>]*>|</svg>\s*$", "", frame.strip())
        body = re.sub(r"@font-face \{.*?\}\s*", "", body, flags=re.DOTALL)  # nothing is fetched from elsewhere
        bodies.append(f'<g class="frame" id="frame{number}">{body}</g>')
    head = re.match(r"<svg[^>]*>", frames[0].strip())
    opening = head[0] if head is not None else "<svg>"
    style = _STYLE.format(total=total, keyframes="\n".join(keys))
    return f"{opening}\n<title>{TITLE}</title><style>{style}\n</style>\n" + "\n".join(bodies) + "\n</svg>\n"


def main() -> int:
    """Run the demonstration and write the picture."""
    pictures: list[str] = []
    status = run(lambda frame: pictures.append(drawn(frame, f"f{len(pictures)}")))
    lengths = [FRAME_SECONDS] * (len(pictures) - 1) + [LAST_SECONDS]
    PAGE.write_text(animated(pictures, lengths))
    print(f"{PAGE.name}: {len(pictures)} frames, {PAGE.stat().st_size // 1024} KiB")
    return status


if __name__ == "__main__":
    sys.exit(main())

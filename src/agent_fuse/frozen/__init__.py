"""AgentFuse inside a program that PyInstaller froze: where it finds the hook that says what goes in."""

from pathlib import Path


def hook_dirs() -> list[str]:
    """Folders of hooks, as PyInstaller's entry point `hook-dirs` asks for them."""
    return [str(Path(__file__).parent)]

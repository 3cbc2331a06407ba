"""What a run hands on to every process in it, in one variable: where it is kept, and how it was asked for."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

VARIABLE = "_AGENTFUSE_RUN"
BOOTSTRAP = Path(__file__).parent / "bootstrap"
"""First on the run's PYTHONPATH."""

_GUARDED, _REFUSED, _UNGUARDED = "guarded", "refused", "unguarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of `agent-fuse run`."""

    folder: Path
    """Where its processes leave word of themselves; goes when the run ends."""
    anyway: bool = False
    """Whether what can't be guarded runs all the same."""
    quiet: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self | None:
        """The run that this process is in, if any."""
        text = environ.get(VARIABLE)
        if not text:
            return None
        found = json.loads(text)
        return cls(folder=Path(found["folder"]), anyway=bool(found["anyway"]), quiet=bool(found["quiet"]))

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """An environment in which every Python comes to the bootstrap first."""
        handed = json.dumps({"folder": str(self.folder), "anyway": self.anyway, "quiet": self.quiet})
        own = str(BOOTSTRAP)
        paths = [one for one in environ.get("PYTHONPATH", "").split(os.pathsep) if one and one != own]
        return {**environ, VARIABLE: handed, "PYTHONPATH": os.pathsep.join([own, *paths])}

    def note_guarded(self) -> bool:
        """This process is guarded. Whether it is the first of its run."""
        return self._note(_GUARDED)

    def note_refused(self) -> None:
        """This process can't be guarded and ends, having said why."""
        self._note(_REFUSED)

    @property
    def guarded(self) -> bool:
        """Whether any process was guarded."""
        return (self.folder / _GUARDED).exists()

    @property
    def refused(self) -> bool:
        """Whether a process ended because it could not be guarded."""
        return (self.folder / _REFUSED).exists()

    @property
    def unguarded(self) -> bool:
        """Whether a process ran without a guard."""
        return (self.folder / _UNGUARDED).exists()

    def note_unguarded(self) -> bool:
        """This process runs without a guard, as was asked for. Whether it is the first."""
        return self._note(_UNGUARDED)

    def _note(self, name: str) -> bool:
        try:
            os.close(os.open(self.folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError:
            return False
        return True

"""For interpreters that a test starts: the same mutant there, and, while the map is made, the lines they run."""

import atexit
import json
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType


class Loader(SourceFileLoader):
    """Loads a module from another text than its file's."""

    text = b""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec")


class Finder:
    """Finds the one module that is mutated."""

    def __init__(self, module: str, text: bytes) -> None:
        self.module, self.text = module, text

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self.module:
            return None
        spec = PathFinder.find_spec(name, path)  # type: ignore[arg-type]
        if spec is not None and spec.origin is not None:
            spec.loader = loader = Loader(name, spec.origin)
            loader.text = self.text
        return spec


def install(module: str, text: bytes) -> None:
    """From now on, the module is loaded from this text."""
    sys.meta_path.insert(0, Finder(module, text))  # type: ignore[arg-type]


def watch(folder: str) -> None:
    """Write down which lines of the package this interpreter runs, for the test that started it."""
    import coverage

    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    lines = coverage.Coverage(data_file=None, include=[os.environ["AGENT_FUSE_MAP_SOURCE"] + "/*"])
    lines.start()

    def write() -> None:
        lines.stop()
        data = lines.get_data()
        found = {file: sorted(data.lines(file) or ()) for file in data.measured_files()}
        Path(folder, f"{os.getpid()}.json").write_text(json.dumps({"test": test, "files": found}))

    atexit.register(write)


if mutant := os.environ.get("AGENT_FUSE_MUTANT"):
    install(mutant.partition("=")[0], Path(mutant.partition("=")[2]).read_bytes())
if (folder := os.environ.get("AGENT_FUSE_MAP_DIR")) and os.environ.get("PYTEST_CURRENT_TEST"):
    watch(folder)

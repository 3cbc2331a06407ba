"""The benchmarks run on the tables and columns of today."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_the_floor_of_the_ledger_does_the_work_of_a_call(
    tmp_path: Path, synchronous: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bare SQL that ours is compared with writes the same two rows."""
    bench = load("bench_ledger")
    bench.beside_floor(tmp_path, 5, synchronous=synchronous)
    assert "floors" in capsys.readouterr().out
    floor = bench.Floor(tmp_path / f"{synchronous}-bare.db")
    try:
        assert floor.db.execute("SELECT count(*) FROM journal").fetchone() == (5,)
        assert floor.db.execute("SELECT count(*) FROM holds").fetchone() == (0,)
    finally:
        floor.db.close()


def test_the_wire_gates_benchmark_judges_each_call(tmp_path: Path) -> None:
    """It compares what it says: every guarded call is booked, and each library's wrapper is measured."""
    bench = load("bench_wire")
    assert set(bench.gated(tmp_path, 20)) == {"the openai SDK's gate", "the wire gate"}
    assert len(bench.unrelated(10)) == 8

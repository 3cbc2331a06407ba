"""Mutants: every way in which one small thing of a module can be wrong, as a change of its text."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ENUMS = {
    "Meter": ("USD", "TOKENS", "OUTPUT_TOKENS", "CALLS", "TOOL_CALLS"),
    "Status": ("SETTLED", "ESTIMATED", "PRESUMED", "REFUSED"),
    "Outcome": ("DONE", "FAILED", "BROKEN"),
    "CallState": ("OPEN", "ESTIMATED", "EXACT", "RELEASED"),
    "Layer": ("WIRE", "REQUEST", "CLIENT", "FRAMEWORK"),
    "Settling": ("BOOKED", "CORRECTED", "UNCHANGED"),
    "SpanRole": ("MODEL", "TOOL", "AGENT"),
    "LoopKind": ("REPEAT", "CYCLE", "ERROR"),
    "Level": ("OK", "NUDGE", "TRIP"),
}
"""Closed sets of which one member is easily taken for another."""

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
COUNTED: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
TALK = {"debug", "info", "warning", "error", "exception", "log", "warn"}
"""What is said to people; its words are no mutants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one module."""

    file: str
    """Below `src/`."""
    function: str
    """Qualified name of the outermost function that holds it; empty in a module's or a class's own body."""
    line: int
    end_line: int
    was: str
    now: str
    start: int
    """Byte offset in the file."""
    end: int

    @property
    def name(self) -> str:
        """Without line numbers, so that it stays the same while the file grows elsewhere."""
        was, now = " ".join(self.was.split()), " ".join(self.now.split())
        return f"{self.file}:{self.function or '(body)'}: {was[:90]} -> {now[:90]}"

    def apply(self, source: bytes) -> bytes:
        """The module with this one thing wrong."""
        return source[: self.start] + self.now.encode() + source[self.end :]


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """All mutants of a module that are still Python, in the order of its lines."""
    source = path.read_bytes()
    found = []
    for one in _Walk(source, str(path.relative_to(root))).mutants():
        try:
            ast.parse(one.apply(source))
        except SyntaxError:
            continue
        found.append(one)
    return sorted(set(found), key=lambda one: (one.start, one.end, one.now))


class _Walk:
    def __init__(self, source: bytes, file: str) -> None:
        self._source, self._file = source, file
        self._settled: set[ast.AST] = set()
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutants(self) -> Iterator[Mutant]:
        yield from self._body(ast.parse(self._source), names=(), function="")

    def _body(self, node: ast.AST, names: tuple[str, ...], function: str) -> Iterator[Mutant]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = function or ".".join((*names, child.name))
                for part in (*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)):
                    yield from self._node(part, function)
                    yield from self._body(part, names, function)
                for statement in child.body:
                    yield from self._node(statement, inner)
                    yield from self._body(statement, names, inner)
            elif isinstance(child, ast.ClassDef):
                if any(getattr(base, "id", "") == "Protocol" for base in child.bases):
                    continue
                yield from self._body(child, (*names, child.name), function)
            elif not isinstance(child, ast.arguments | ast.arg | ast.Import | ast.ImportFrom):
                if _is_annotation(node, child):
                    continue
                yield from self._node(child, function)
                yield from self._body(child, names, function)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        at: ast.expr = node  # type: ignore[assignment]
        assert at.end_lineno is not None
        assert at.end_col_offset is not None
        return self._starts[at.lineno - 1] + at.col_offset, self._starts[at.end_lineno - 1] + at.end_col_offset

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _change(self, node: ast.AST, now: str, function: str) -> Mutant:
        start, end = self._span(node)
        line: int = node.lineno  # type: ignore[attr-defined]
        last: int = node.end_lineno  # type: ignore[attr-defined]
        return Mutant(
            file=self._file,
            function=function,
            line=line,
            end_line=last,
            was=self._text(node),
            now=now,
            start=start,
            end=end,
        )

    def _node(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        if isinstance(node, ast.If) and _is_all_or_nothing(node.test):
            self._settled.add(node.test)  # true and false are tried below; the other way round would be the same
        for now in () if node in self._settled else self._expression(node):
            yield self._change(node, now, function)
        if function or isinstance(node, ast.Expr):
            for target, now in self._statement(node):
                yield self._change(target, now, function)

    def _expression(self, node: ast.AST) -> Iterator[str]:
        text = self._text
        match node:
            case ast.BoolOp():
                other = " or " if isinstance(node.op, ast.And) else " and "
                same = " and " if isinstance(node.op, ast.And) else " or "
                parts = [f"({text(one)})" for one in node.values]
                yield f"({other.join(parts)})"
                for left_out in range(len(parts)):
                    yield f"({same.join(parts[:left_out] + parts[left_out + 1 :])})"
            case ast.UnaryOp(op=ast.Not()):
                yield f"({text(node.operand)})"
            case ast.UnaryOp(op=ast.USub()):
                yield f"({text(node.operand)})"
            case ast.Compare():
                sides = [node.left, *node.comparators]
                for at, op in enumerate(node.ops):
                    if type(op) in COMPARED:
                        words = [_sign(one) for one in node.ops]
                        words[at] = COMPARED[type(op)]
                        told = [f"({text(sides[0])})"]
                        for word, side in zip(words, sides[1:], strict=True):
                            told += [word, f"({text(side)})"]
                        yield f"({' '.join(told)})"
            case ast.BinOp() if type(node.op) in COUNTED and not _is_text(node.left) and not _is_text(node.right):
                yield f"(({text(node.left)}) {COUNTED[type(node.op)]} ({text(node.right)}))"
            case ast.IfExp():
                yield f"({text(node.body)})"
                yield f"({text(node.orelse)})"
            case ast.Constant(value=bool()):
                yield str(not node.value)
            case ast.Constant(value=int() | float()):
                yield repr(node.value + 1)
            case ast.Call(func=ast.Name(id=name)) if name in SWAPPED:
                yield SWAPPED[name] + text(node)[len(name) :]
            case ast.Attribute(value=ast.Name(id=name), attr=member) if member in ENUMS.get(name, ()):
                members = ENUMS[name]
                yield f"{name}.{members[(members.index(member) + 1) % len(members)]}"

    def _statement(self, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
        match node:
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name))) if name in TALK:
                return
            case ast.Expr() | ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign() | ast.Delete():
                yield node, "pass"
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
                yield node, "pass"
            case ast.Return(value=value) if value is not None and not _is_none(value):
                yield value, "None"
            case ast.If(test=test) if not isinstance(test, ast.BoolOp):
                yield test, "True"
                yield test, "False"
            case ast.While():
                yield node.test, "False"
            case ast.For():
                yield node.iter, "()"
            case ast.ExceptHandler():
                yield node.body[0], "raise"
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for each in node.generators:
                    for test in each.ifs:
                        yield test, "True"


def _sign(op: ast.cmpop) -> str:
    return {
        ast.Lt: "<",
        ast.LtE: "<=",
        ast.Gt: ">",
        ast.GtE: ">=",
        ast.Eq: "==",
        ast.NotEq: "!=",
        ast.Is: "is",
        ast.IsNot: "is not",
        ast.In: "in",
        ast.NotIn: "not in",
    }[type(op)]


def _is_all_or_nothing(test: ast.AST) -> bool:
    return (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)) or (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn)
        and len(test.ops) == 1
    )


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_annotation(parent: ast.AST, child: ast.AST) -> bool:
    return isinstance(parent, ast.AnnAssign | ast.arg) and child is parent.annotation

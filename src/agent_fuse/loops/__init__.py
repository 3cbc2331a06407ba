"""Loops: repeated, cyclic and fruitless tool calls, told from work."""

from agent_fuse.loops.rule import LOW, LoopState, gated, levels, observe_call, observe_result, state_note
from agent_fuse.loops.signatures import (
    Signature,
    ToolOutcome,
    digest_of,
    error_outcome,
    head_of,
    result_outcome,
    signature,
)
from agent_fuse.loops.steps import SeenCall, observe_turn
from agent_fuse.loops.verdicts import Level, LoopKind, LoopPolicy, Verdict, nudge_of

__all__ = [
    "LOW",
    "Level",
    "LoopKind",
    "LoopPolicy",
    "LoopState",
    "SeenCall",
    "Signature",
    "ToolOutcome",
    "Verdict",
    "digest_of",
    "error_outcome",
    "gated",
    "head_of",
    "levels",
    "nudge_of",
    "observe_call",
    "observe_result",
    "observe_turn",
    "result_outcome",
    "signature",
    "state_note",
]

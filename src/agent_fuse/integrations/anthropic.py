"""Anthropic's clients, guarded: the same in every respect, but that no request passes the fuse by."""

import anthropic

from agent_fuse.integrations.guarded import Guarded


class AgentFuseAnthropic(anthropic.Anthropic, Guarded):
    """`anthropic.Anthropic`, guarded also where no OpenTelemetry is set up. Calls may raise any `SentinelError`."""

    _agent_fuse_sdk = "anthropic"


class AsyncAgentFuseAnthropic(anthropic.AsyncAnthropic, Guarded):
    """`anthropic.AsyncAnthropic`, guarded."""

    _agent_fuse_sdk = "anthropic"

"""OpenAI's clients, guarded: the same in every respect, but that no request passes the fuse by."""

import openai

from agent_fuse.integrations.guarded import Guarded


class AgentFuseOpenAI(openai.OpenAI, Guarded):
    """`openai.OpenAI`, guarded also where no OpenTelemetry is set up. Calls may raise any `SentinelError`."""

    _agent_fuse_sdk = "openai"


class AsyncAgentFuseOpenAI(openai.AsyncOpenAI, Guarded):
    """`openai.AsyncOpenAI`, guarded."""

    _agent_fuse_sdk = "openai"


class AgentFuseAzureOpenAI(openai.AzureOpenAI, Guarded):
    """`openai.AzureOpenAI`, guarded. The deployment is taken for the model; see `prices` for one named otherwise."""

    _agent_fuse_sdk = "openai"


class AsyncAgentFuseAzureOpenAI(openai.AsyncAzureOpenAI, Guarded):
    """`openai.AsyncAzureOpenAI`, guarded."""

    _agent_fuse_sdk = "openai"

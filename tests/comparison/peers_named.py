"""Who is compared, in the order of the page."""

PEERS = {
    "floor": "no guard: two commits of Python's SQLite",
    "agentfuse": "**AgentFuse**",
    "agent_fuse_0_2": "agent-fuse 0.2.1",
    "tokencap": "tokencap",
    "floe": "floe-guard",
    "agentguard": "agentguard47",
    "agentbudget": "agentbudget",
    "llm_cost_guard": "llm-cost-guard",
    "litellm": "litellm's BudgetManager",
    "pydantic_ai": "pydantic-ai's UsageLimits",
    "langchain": "LangChain's ModelCallLimitMiddleware",
}
OURS = ("floor", "agentfuse")
"""Those that run in the environment of the tests."""

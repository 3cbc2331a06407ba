"""A ledger with a story: deterministic calls of a few sessions, some refused, one still open."""

from agent_fuse.accounting.published_limits import LimitPublisher
from agent_fuse.calls import Entry, RefusedBy, Status
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import Amounts, Hold
from agent_fuse.limits import Caller, Limit, Session, demand

NOW = 1_800_000_000.0
"""2027-01-15 08:00:00 UTC."""

LIMITS = (Limit(usd="0.30"), Limit(usd="1", per="all"), Limit(tool_calls=40), Limit(usd="0.40", per="user.id"))
MODELS = (("openai", "gpt-5-mini", 250, 2_000), ("anthropic", "claude-sonnet-4-5", 3_000, 15_000))
"""Provider, model, nano-dollars per token of input and of output."""

SESSION = RefusedBy(
    limit="$0.30 per session",
    per="session",
    value="research-loop",
    meter="usd",
    cap=300_000_000,
    spent=280_000_000,
    held=0,
    requested=31_500_000,
    advice="raise the limit or start a new session",
)
USER = RefusedBy(
    limit="$0.40 per user.id",
    per="user.id",
    value="ann",
    meter="usd",
    cap=400_000_000,
    spent=350_000_000,
    held=40_000_000,
    requested=31_500_000,
    advice="raise the limit; a new session does not help, for this limit counts user.id 'ann' in all sessions",
)
RUNS = (
    # session, agent, user, hours ago, calls, step in seconds
    ("nightly-summary", "summariser", "ann", 30.0, 24, 180),
    ("support-7421", "triage", "bob", 20.0, 18, 240),
    ("support-7422", "triage", "bob", 9.0, 12, 300),
    ("research-loop", "researcher", "ann", 2.0, 40, 60),
    ("research-loop", "writer", "ann", 1.2, 10, 120),
    ("チャット-é", "chat", "", 0.5, 6, 200),
)


def fill(path):
    """Write the story to a new ledger at `path`, and close it."""
    ledger = open_ledger(path)
    poster = LimitPublisher(ledger, LIMITS)
    poster.post(now=NOW - 200_000)
    number = 0
    for session, agent, user, hours, count, step in RUNS:
        own = (Limit(usd="0.60"),) if session == "support-7422" else ()
        keys = {"user.id": user} if user else {}
        due = demand(LIMITS, Caller(session=Session(id=session, limits=own), agent=agent, keys=keys), now=1.0)
        poster.met(due, now=NOW)
        for step_number in range(count):
            at = NOW - hours * 3600 + step_number * step
            provider, model, price_in, price_out = MODELS[(step_number + len(session)) % 2]
            tokens_in, tokens_out = 400 + 137 * (step_number % 19), 60 + 53 * (step_number % 11)
            cost = tokens_in * price_in + tokens_out * price_out
            status = Status.ESTIMATED if step_number % 9 == 4 else Status.SETTLED
            entry = Entry(
                id=f"call{number:04}",
                at=at,
                status=status,
                session=session,
                agent=agent,
                user_id=due.user,
                provider=provider,
                model=model,
                operation="chat",
                cost=cost,
                input_tokens=tokens_in,
                output_tokens=tokens_out,
                reason="quote" if status is Status.ESTIMATED else "",
                response_id=f"resp-{number}",
                trace_id=f"{number:032x}",
                span_id=f"{number:016x}",
            )
            amounts = Amounts(usd=cost, tokens=tokens_in + tokens_out, output_tokens=tokens_out, calls=1)
            ledger.settle(entry, due.accounts, amounts, now=at)
            number += 1
            if step_number % 3 == 0:
                tool(ledger, number, due, session, agent, "search" if step_number % 2 else "read_file", at + 5)
                number += 1
    number = refuse(ledger, number, "research-loop", "researcher", 14)
    ledger.refuse(
        Entry(
            id="loop1",
            at=NOW - 4_000,
            status=Status.REFUSED,
            session="research-loop",
            agent="researcher",
            operation="execute_tool",
            tool="search",
            reason="loop",
            refused_by=RefusedBy(
                advice="change what the agent does, or give search a higher threshold (loop_tool_thresholds)"
            ),
        ),
        ["all", "session=research-loop"],
        now=NOW,
    )
    held = demand(LIMITS, Caller(session=Session(id="チャット-é"), agent="chat"), now=1.0)
    entry = Entry(
        id="open1",
        at=NOW - 3,
        status=Status.PRESUMED,
        session="チャット-é",
        agent="chat",
        model="gpt-5-mini",
        cost=40_000_000,
    )
    ledger.reserve(
        Hold(
            entry=entry,
            accounts=held.accounts,
            amounts=Amounts(usd=40_000_000, tokens=900, calls=1),
            expires_at=NOW + 3600,
        ),
        now=NOW,
    )
    ledger.close()


def tool(ledger, number, due, session, agent, name, at):
    """Book one tool action."""
    entry = Entry(
        id=f"call{number:04}",
        at=at,
        status=Status.SETTLED,
        session=session,
        agent=agent,
        operation="execute_tool",
        tool=name,
    )
    ledger.settle(entry, due.accounts, Amounts(tool_calls=1), now=at)


def refuse(ledger, number, session, agent, count):
    """Refuse some calls for want of budget."""
    for one in range(count):
        entry = Entry(
            id=f"call{number:04}",
            at=NOW - 3_900 + 30 * one,
            status=Status.REFUSED,
            session=session,
            agent=agent,
            provider="anthropic",
            model="claude-sonnet-4-5",
            operation="chat",
            cost=31_500_000,
            input_tokens=3_000,
            output_tokens=1_500,
            reason="budget",
            refused_by=USER if one % 7 == 6 else SESSION,
        )
        ledger.refuse(entry, ["all", f"session={session}"], now=NOW)
        number += 1
    return number

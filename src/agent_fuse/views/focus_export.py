"""FOCUS: a call as a row of charges, in the columns of the FinOps Open Cost and Usage Specification 1.2."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from agent_fuse.calls import Entry, RefusedBy, to_usd

COLUMNS: tuple[str, ...] = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "x_CallId",
    "x_Status",
    "x_Reason",
    "x_RefusedLimit",
    "x_RefusedKey",
    "x_RefusedAdvice",
    "x_Operation",
    "x_Session",
    "x_Agent",
    "x_User",
    "x_Tool",
    "x_QuotedCost",
    "x_Fee",
    "x_CostSource",
    "x_ComputedCost",
    "x_InputTokens",
    "x_OutputTokens",
    "x_CacheReadTokens",
    "x_CacheWriteTokens",
    "x_ReasoningTokens",
    "x_ResponseId",
    "x_TraceId",
    "x_SpanId",
)
"""Names and meaning are the specification's; columns of our own have its prefix for such, `x_`."""

Value = str | int | None
_DECEMBER = 12


def charges(entries: Iterable[Entry]) -> Iterator[dict[str, Value]]:
    """Each call as a row, by column. A refused call is a row that cost nothing, its quote in `x_QuotedCost`."""
    for one in entries:
        refused = not one.status.is_booked
        by = one.refused_by or RefusedBy()
        cost = "0" if refused else f"{to_usd(one.cost):f}"
        known = one.input_tokens is not None or one.output_tokens is not None
        begin, end = _month(one.at)
        yield {
            "BilledCost": cost,
            "EffectiveCost": cost,
            "ListCost": cost,
            "ContractedCost": cost,
            "BillingCurrency": "USD",
            "BillingPeriodStart": begin,
            "BillingPeriodEnd": end,
            "ChargePeriodStart": _time(datetime.fromtimestamp(one.at, UTC)),
            "ChargePeriodEnd": _time(datetime.fromtimestamp(int(one.at), UTC) + timedelta(seconds=1)),
            "ChargeCategory": "Usage",
            "ChargeClass": None,
            "ChargeDescription": " ".join(part for part in (one.operation, one.tool or one.model) if part),
            "ChargeFrequency": "Usage-Based",
            "ConsumedQuantity": (one.input_tokens or 0) + (one.output_tokens or 0) if known and not refused else None,
            "ConsumedUnit": "Tokens" if known and not refused else None,
            "ProviderName": one.provider or None,
            "PublisherName": one.provider or None,
            "InvoiceIssuerName": one.provider or None,
            "ServiceCategory": "AI and Machine Learning",
            "ServiceSubcategory": "Generative AI",
            "ServiceName": one.model or one.tool or None,
            "ResourceId": one.model or one.tool or None,
            "ResourceName": one.model or one.tool or None,
            "ResourceType": "Tool" if one.tool else "Model",
            "x_CallId": one.id,
            "x_Status": str(one.status),
            "x_Reason": one.reason or None,
            "x_RefusedLimit": by.limit or None,
            "x_RefusedKey": by.value or None,
            "x_RefusedAdvice": by.advice or None,
            "x_Operation": one.operation or None,
            "x_Session": one.session or None,
            "x_Agent": one.agent or None,
            "x_User": one.user_id or None,
            "x_Tool": one.tool or None,
            "x_QuotedCost": f"{to_usd(one.cost):f}" if refused else None,
            "x_Fee": None if refused else f"{to_usd(one.fee):f}",
            "x_CostSource": None if refused else one.source or "prices",
            "x_ComputedCost": None if one.computed is None else f"{to_usd(one.computed):f}",
            "x_InputTokens": one.input_tokens,
            "x_OutputTokens": one.output_tokens,
            "x_CacheReadTokens": one.cache_read_tokens,
            "x_CacheWriteTokens": one.cache_write_tokens,
            "x_ReasoningTokens": one.reasoning_tokens,
            "x_ResponseId": one.response_id or None,
            "x_TraceId": one.trace_id or None,
            "x_SpanId": one.span_id or None,
        }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _month(at: float) -> tuple[str, str]:
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (
        first.replace(year=first.year + 1, month=1)
        if first.month == _DECEMBER
        else first.replace(month=first.month + 1)
    )
    return _time(first), _time(after)

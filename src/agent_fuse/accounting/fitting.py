"""Fitting: how much output a call may have so that what refused it would admit it."""

from agent_fuse.ledgers.base import Meter, Refusal
from agent_fuse.quotes import Quote, Quoter

_MANY = 1_000_000


def output_within(quoter: Quoter, quote: Quote, short: Refusal) -> int | None:
    """The most output tokens that this cap admits, below 0 where the input alone is too much; None where no less helps.

    Other caps may admit less.
    """
    left = short.amount - short.settled - short.held
    match short.cap.meter:
        case Meter.OUTPUT_TOKENS:
            return left
        case Meter.TOKENS:
            return left - quote.input_tokens
        case Meter.USD:
            many = quoter.resized(quote, quote.output_tokens + _MANY).cost - quote.cost
            return quote.output_tokens + (left - quote.cost) * _MANY // many - 1 if many > 0 else None
        case _:
            return None

"""floe-guard: reserve, settle, release; in memory or in SQLite, a UTC day at a time."""

from floe_guard import BudgetExceeded, BudgetGuard, SqliteStore, StreamGuard

from comparison.guard import INPUT, MODEL, OUTPUT, PRICE, Guard, Refused

PACKAGE = "floe-guard"
KINDS = {"memory": {}, "SQLite": {"window": "utc-day"}}


class Floe(Guard):
    def __init__(self, guard):
        self._guard = guard

    def before(self):
        try:
            return self._guard.reserve(PRICE)
        except BudgetExceeded:
            raise Refused from None

    def after(self, held):
        self._guard.settle(MODEL, INPUT, OUTPUT, reserved=held)

    def failed(self, held):
        self._guard.release(held)

    def broken(self, held):
        if self._guard._store is not None:  # StreamGuard does not take a store: the hold stays
            return
        try:
            with StreamGuard(self._guard, MODEL, prompt_tokens=INPUT, reserved=held) as stream:
                stream.feed_text("word" * (OUTPUT // 2))
                raise EOFError  # noqa: TRY301 - as its connection would
        except EOFError:
            pass


def open_guard(kind, folder, calls):
    options = dict(KINDS[kind])
    if options:
        options["store"] = SqliteStore(f"{folder}/floe.db")
    return Floe(BudgetGuard(limit_usd=PRICE * calls, on_block=lambda *_: None, **options))

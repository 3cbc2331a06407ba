"""Tool actions: counted against limits, and stopped when they go round in a loop."""

import time
from contextvars import ContextVar
from dataclasses import replace
from functools import partial

from agent_fuse.accounting.at_gates import AtGates
from agent_fuse.accounting.booking import Accounting
from agent_fuse.accounting.call_request import UNTOLD, Action, Event
from agent_fuse.accounting.loop_gate import LoopCheck, LoopGate
from agent_fuse.accounting.patience import Patience
from agent_fuse.accounting.reentrancy import Reentrancy
from agent_fuse.accounting.tool_room import ToolRoom
from agent_fuse.accounting.tripped import TrippedSessions
from agent_fuse.accounting.waits import WaitFor, resumed
from agent_fuse.calls import Entry, Status, in_unbroken_texts, told_texts
from agent_fuse.errors import SentinelError, SentinelSystemError
from agent_fuse.foreign_text import unbroken
from agent_fuse.ledgers.base import Hold, Meter, NoteChange, Refusal, Reservation
from agent_fuse.limits import Caller, Demand, demand, subjects_of
from agent_fuse.refusals import refused_by
from agent_fuse.seams import GOES_ON, quietly, unjudged
from agent_fuse.settings import Settings

_HOLD_SECONDS = 3600.0

UNDER_WAY: ContextVar[Action | None] = ContextVar("agent_fuse_action", default=None)
"""The tool action begun last in this context. Another layer that sees the same action joins it: it counts once."""


class Actions:
    """The tool gate. `open` and `told` raise trips; `close` raises nothing."""

    def __init__(
        self,
        settings: Settings,
        accounting: Accounting,
        tripped: TrippedSessions,
        reentrancy: Reentrancy,
        patience: Patience,
    ) -> None:
        self._accounting = accounting
        self._fail_safe = settings.fail_safe
        self._limits = accounting.limits
        self._tripped = tripped
        self.reentrancy = reentrancy
        self.loops = LoopGate(settings, accounting)
        self.at_gates = AtGates[Action]()
        self._room = ToolRoom(accounting, patience)
        self._prices = None
        if settings.tool_prices:
            from agent_fuse.accounting.tool_prices import ToolPrices  # noqa: PLC0415  few tools have a price

            self._prices = ToolPrices(settings.tool_prices)

    def open(
        self,
        caller: Caller,
        tool: str,
        arguments: object = UNTOLD,
        *,
        awaited: bool = False,
        source: str = "",
        trace_id: str = "",
        span_id: str = "",
        cost: int | None = None,
        id: str = "",
    ) -> Action:
        """A tool is about to run. What another layer (`source`) saw begin around this one is the same action.

        `awaited`: its arguments are told before it runs (`told`), and it is counted then. `cost`: nano-dollars that it
        may cost, else what `tool_prices` says. `id`: of the journal's line; the same is booked once.

        Raises:
            SentinelLoopError: it goes round in a loop. SentinelBudgetExceeded: a limit on tool calls does not admit it.
            SentinelSystemError: the ledger failed and fail_safe=True. SentinelError: the session is tripped.
        """
        known, tool = UNDER_WAY.get(), unbroken(tool)
        if known is not None and source and known.entry.tool == tool and not (known.over or source in known.sources):
            known.sources.add(source)
            if arguments is not UNTOLD:
                self.told(known, arguments)
            return known
        action = resumed()
        if action is None:
            action = self._action(caller, tool, trace_id, span_id, source=source, cost=cost, id=id)
        else:
            action.due = self._due(caller, tool)
        try:
            self._begin(action, arguments, awaited=awaited)
            UNDER_WAY.set(action)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: its tool will not run
            self.give_up(action)
            raise
        return action

    def _begin(self, action: Action, arguments: object, *, awaited: bool) -> None:
        self.reentrancy.enter()
        started = time.perf_counter()
        try:
            tripped = self._tripped.take(action.caller.session.id)
            if tripped is not None:
                raise tripped  # noqa: TRY301  written down below, as every trip
            if awaited and arguments is UNTOLD:
                self._hold(action)
            elif action.priced:
                self._judge(action, self._check(action, arguments))
                self._hold(action)
            else:
                self._count(action, self._check(action, arguments))
        except WaitFor:
            raise
        except SentinelError as trip:
            if self._accounting.lets_run(action, trip, self._hold if awaited or action.priced else self._keep):
                return
            quietly("writing a refused action down", GOES_ON, self._refused, action, trip)
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            self._failed(action, error)
        finally:
            self._accounting.on_gate("tool", time.perf_counter() - started)
            self.reentrancy.leave()

    def give_up(self, action: Action) -> None:
        """It was interrupted before its tool could run: what it holds is given back."""
        action.over = action.booked = True
        if action.due.caps:  # the ledger may have taken a hold that it could not tell of
            self.reentrancy.account(lambda: self._accounting.retry.release(action.entry.id))

    def _due(self, caller: Caller, tool: str) -> Demand:
        now = self._accounting.clock()
        return demand(self._limits, caller, lambda key: tool if key == "tool" else "", now=now)

    def ran(
        self, caller: Caller, tool: str, arguments: object = UNTOLD, *, source: str = "", trace_id: str = ""
    ) -> Action:
        """A tool has run that no gate saw begin: it is counted, and what should have stopped it stops the next gate."""
        known, tool = UNDER_WAY.get(), unbroken(tool)
        if known is not None and known.entry.tool == tool and source not in known.sources:
            known.sources.add(source)
            return known
        action = self._action(caller, tool, trace_id, "", source=source)
        if arguments is not UNTOLD:
            self.told(action, arguments, ran=True)
        self.reentrancy.account(lambda: self._keep(action))
        return action

    def told(self, action: Action, arguments: object, *, ran: bool = False) -> None:
        """The arguments of an open action are known now. `ran`: the tool has run; the next gate raises instead.

        Raises:
            SentinelLoopError: it goes round in a loop (unless it ran).
        """
        if action.signature is not None or self.reentrancy.busy:
            return
        try:
            self._tell(action, arguments, ran=ran)
        except (SentinelError, Exception):
            raise
        except BaseException:  # a KeyboardInterrupt: its tool will not run, unless it ran
            if not (ran or action.booked):
                self.give_up(action)
            raise

    def _tell(self, action: Action, arguments: object, *, ran: bool) -> None:
        self.reentrancy.enter()
        try:
            check = self._check(action, arguments)
            if ran or action.booked or action.priced:
                self._judge(action, check)
            else:
                self._count(action, check)
        except SentinelError as trip:
            if self._accounting.lets_run(action, trip, None if ran or action.priced else self._keep):
                return
            if ran:
                self._tripped.blow(action.caller.session.id, trip)
                return
            quietly("writing a refused action down", GOES_ON, self._refused, action, trip)
            raise
        except Exception as error:  # noqa: BLE001  fail_safe decides
            self._failed(action, error, ran=ran)
        finally:
            self.reentrancy.leave()

    def nudged(self, caller: Caller, tool: str, nudge: str) -> None:
        """A conversation tells of this tool; it is not too late to say something."""
        action = self._action(caller, tool, caller.trace, "", source="conversation")
        self._accounting.tell(Event(action.entry, action.due, nudge=nudge))

    def close(
        self, action: Action, result: object = UNTOLD, *, error: str = "", message: str = "", cost: int | None = None
    ) -> None:
        """The tool ran. Its result, or its error, tells progress from a loop; the first told counts. Never raises.

        `cost`: nano-dollars that it came out at, where its caller says so; one that failed costs nothing.
        """
        action.over = True
        if action.priced and not action.booked:
            if cost is None:
                cost = 0 if error or self._prices is None else self._prices.real(action.entry, action.arguments, result)
            action.entry = replace(action.entry, cost=cost, status=Status.SETTLED)
        if not action.booked:
            self.reentrancy.account(lambda: self._keep(action))
        if not action.told and (error or result is not UNTOLD):
            self.reentrancy.account(lambda: self.learn(action, result, error=error, message=message))

    def learn(self, action: Action, result: object, *, error: str, message: str) -> None:
        """What came of it is known now."""
        doing = action.signature
        if doing is None:
            return
        action.told = True
        outcome = self.loops.outcome(result, error=error, message=message)
        self._accounting.retry.do("note", lambda: self.loops.learn(action.caller, doing, outcome))

    def _failed(self, action: Action, error: Exception, *, ran: bool = False) -> None:
        try:
            unjudged("judging a tool action", error, fail_safe=self._fail_safe and not ran)
        except SentinelError as trip:
            quietly("writing a refused action down", GOES_ON, self._refused, action, trip)
            raise

    def _check(self, action: Action, arguments: object) -> LoopCheck | None:
        if arguments is UNTOLD or action.signature is not None:
            return None
        if action.priced:
            action.arguments = arguments
        return self.loops.check(action.caller, action.entry.tool, arguments)

    def _judge(self, action: Action, check: LoopCheck | None) -> None:
        """Ask the loop rule alone. Raises SentinelLoopError, SentinelSystemError."""
        if check is not None:
            self.loops.ask(check)
            self._judged(action, check)

    def _judged(self, action: Action, check: LoopCheck) -> None:
        nudge = check.nudge()
        action.signature = check.signature
        self.at_gates.put(action.caller.session.id, action.entry.tool, action)
        if nudge:
            self._accounting.tell(Event(action.entry, action.due, nudge=nudge))

    def _hold(self, action: Action) -> None:
        """Hold what is counted later. Raises SentinelBudgetExceeded, SentinelSystemError."""
        accounting, asked = self._accounting, self._asked(action)
        if asked.caps or action.priced:

            def ask(hold: Hold | None = None) -> Reservation | Refusal:
                one, now = hold or self._asked(action), accounting.clock()
                work = partial(accounting.ledger.reserve, one, now=now)
                return accounting.retry.ask("reserve", work, action.may_be_held)

            self._room.take(action, ask(asked), self._due, ask)
            action.held = True

    def _count(self, action: Action, check: LoopCheck | None) -> None:
        """Count an action that is about to run, and ask the loop rule, in one step of the ledger.

        Raises:
            SentinelLoopError: it goes round in a loop. SentinelBudgetExceeded: a limit does not admit it.
            SentinelSystemError: the ledger failed.
        """
        accounting = self._accounting

        def ask(note: NoteChange | None = None) -> Reservation | Refusal | None:
            asked, now = self._asked(action), accounting.clock()
            operation = "loop check" if check else "reserve" if asked.caps else "settle"
            return accounting.retry.ask(operation, lambda: accounting.ledger.count(asked, note, now=now))

        answer = ask(check.note if check else None)
        if check is not None:
            self._judged(action, check)
        self._room.take(action, answer, self._due, ask)
        self._booked(action)

    def _asked(self, action: Action) -> Hold:
        """What an action asks of the ledger; once it is held, no limit is asked again."""
        asked = (Meter.TOOL_CALLS, Meter.USD) if action.priced else (Meter.TOOL_CALLS,)
        caps = () if action.held or action.observed else tuple(cap for cap in action.due.caps if cap.meter in asked)
        subjects = partial(subjects_of, action.due, action.caller, tool=action.entry.tool)
        return Hold(
            entry=action.entry,
            accounts=action.due.accounts,
            amounts=action.amounts,
            caps=caps,
            expires_at=self._accounting.clock() + _HOLD_SECONDS,
            subjects=tuple if action.observed else subjects,
            place=None if action.held else action.place,
        )

    def _keep(self, action: Action) -> None:
        """Count an action that has run, at once or when the ledger can take it."""
        if not action.booked:
            self._accounting.retry.settle(action.entry, action.due.accounts, action.amounts, held=action.held)
            self._booked(action)

    def _booked(self, action: Action) -> None:
        action.booked, action.held = True, False
        self._accounting.tell(Event(action.entry, action.due))

    def _action(
        self,
        caller: Caller,
        tool: str,
        trace_id: str,
        span_id: str,
        *,
        source: str,
        cost: int | None = None,
        id: str = "",
    ) -> Action:
        price = self._prices.quote(tool) if cost is None and self._prices is not None else cost
        due = self._due(caller, tool)
        entry = Entry(
            id=id or self._accounting.new_id(),
            at=self._accounting.clock(),
            status=Status.SETTLED if price is None else Status.PRESUMED,
            cost=price or 0,
            session=caller.session.id,
            agent=caller.agent,
            user_id=due.user or caller.user,
            operation="execute_tool",
            tool=tool,
            trace_id=trace_id,
            span_id=span_id,
        )
        if not "".join(told_texts(entry)).isascii():
            entry = in_unbroken_texts(entry)
        return Action(entry, caller, due, sources={source}, priced=price is not None)

    def _refused(self, action: Action, trip: SentinelError) -> None:
        action.over = action.booked = True
        accounting = self._accounting
        if action.held:
            accounting.retry.release(action.entry.id)
        entry = replace(action.entry, id=accounting.new_id(), status=Status.REFUSED)
        entry = replace(entry, reason=trip.reason, refused_by=refused_by(trip))
        if not isinstance(trip, SentinelSystemError):
            accounting.retry.refuse(entry, action.due.accounts)
        accounting.tell_refused(Event(entry, action.due, trip))

"""Leasing in PostgreSQL: one function, and so one round trip, books a slice's calls and takes the next slice."""

from operator import itemgetter
from typing import Any, cast

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.base import Amounts
from agent_fuse.ledgers.codec import METERS
from agent_fuse.ledgers.leases.base import PREFIX, LeaseStep, Taken
from agent_fuse.ledgers.postgres import queries, rows
from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.ledgers.postgres.functions import NO, each

_PARTED = ("accounts", "on_accounts", "buckets", "windows", *(f"booked_{one}" for one in METERS))
_COLUMNS = ", ".join([*codec.ENTRY, *_PARTED])
_KEPT = ", ".join(
    [f"l.{one}" for one in codec.ENTRY] + [f"CASE WHEN l.status <> 'settled' THEN l.{one} END" for one in _PARTED]
)
_AFTER = f"{PREFIX[:-1]}{chr(ord(PREFIX[-1]) + 1)}"

FUNCTIONS = f"""
CREATE FUNCTION agent_fuse.lease(
    before text[], ended jsonb, lines json, opened json, hold jsonb, unit bigint[], most int,
    cap_on text[], cap_windows int[], cap_places int[], cap_amounts bigint[], now float8)
RETURNS TABLE (parts int, after json) LANGUAGE plpgsql AS $$
-- Give a slice back, book what was spent of it, hold what calls of it hold by themselves, take the next one.
DECLARE
    call text; h agent_fuse.holds; a record; known text[]; line json; n int := 0; others int; answer text; j int;
    waits text := current_setting('synchronous_commit');
BEGIN
    FOREACH call IN ARRAY before LOOP
        DELETE FROM agent_fuse.holds x WHERE x.id = call RETURNING * INTO h;
        IF FOUND THEN
            PERFORM agent_fuse.charge_all(
                h.on_accounts, h.buckets, h.windows, NULL, {NO}, array[{each("-h.hold_{m}")}], NULL, now);
        ELSIF EXISTS (SELECT 1 FROM agent_fuse.journal x WHERE x.id = call AND x.status = 'presumed') THEN
            PERFORM agent_fuse.settle(jsonb_set(ended, '{{id}}', to_jsonb(call)), now);
        END IF;
    END LOOP;
    -- What a step whose answer was lost did already: those are booked one by one, with all that may be of them.
    SELECT array_agg(l ->> 'id') INTO known FROM json_array_elements(lines) l;
    SELECT coalesce(array_agg(k.found), '{{}}') INTO known FROM (
        SELECT coalesce((SELECT x.id FROM agent_fuse.journal x WHERE x.id = one.id),
            (SELECT x.id FROM agent_fuse.holds x WHERE x.id = one.id)) AS found
        FROM unnest(known) AS one(id)) k WHERE k.found IS NOT NULL;
    FOR a IN
        WITH l AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::agent_fuse.journal, lines)),
        put AS (INSERT INTO agent_fuse.journal ({_COLUMNS}) SELECT {_KEPT} FROM l WHERE NOT l.id = ANY (known)
            ON CONFLICT (id) DO NOTHING RETURNING id)
        SELECT l.on_accounts, l.buckets, l.windows, {each("sum(l.booked_{m})::bigint AS s{i}")}
        FROM l JOIN put ON put.id = l.id GROUP BY l.on_accounts, l.buckets, l.windows
        ORDER BY l.on_accounts, l.buckets
    LOOP
        PERFORM agent_fuse.charge_all(
            a.on_accounts, a.buckets, a.windows, NULL, array[{each("a.s{i}")}], {NO}, now, now);
    END LOOP;
    IF cardinality(known) > 0 THEN
        FOR line IN SELECT l FROM json_array_elements(lines) l WHERE l ->> 'id' = ANY (known) LOOP
            PERFORM agent_fuse.settle(line::jsonb, now);
        END LOOP;
        PERFORM set_config('synchronous_commit', waits, true);
    END IF;
    FOR a IN
        WITH put AS (INSERT INTO agent_fuse.holds
            SELECT o.* FROM json_populate_recordset(NULL::agent_fuse.holds, opened) o WHERE NOT EXISTS (
                SELECT 1 FROM agent_fuse.journal x WHERE x.id = o.id AND x.status <> 'refused')
            ON CONFLICT (id) DO NOTHING RETURNING *)
        SELECT p.on_accounts, p.buckets, p.windows, {each("sum(p.hold_{m})::bigint AS h{i}")}
        FROM put p GROUP BY p.on_accounts, p.buckets, p.windows ORDER BY p.on_accounts, p.buckets
    LOOP
        PERFORM agent_fuse.charge_all(
            a.on_accounts, a.buckets, a.windows, NULL, {NO}, array[{each("a.h{i}")}], now, now);
    END LOOP;
    h := jsonb_populate_record(NULL::agent_fuse.holds, hold);
    IF greatest({each("h.hold_{m}")}) > 0 THEN
        PERFORM agent_fuse.reserve(hold, '{{}}', '{{}}', '{{}}', '{{}}', true, now);
    END IF;
    IF most > 0 THEN
        n := most;
        FOR j IN 1 .. cardinality(cap_on) LOOP
            IF unit[cap_places[j]] > 0 THEN
                SELECT count(*) INTO others FROM agent_fuse.holds x
                WHERE x.id >= '{PREFIX}' AND x.id < '{_AFTER}' AND x.id <> h.id AND cap_on[j] = ANY (x.on_accounts);
                n := least(n, greatest(cap_amounts[j] - agent_fuse.used(
                    cap_on[j], false, cap_windows[j], cap_places[j], now, NULL), 0)
                    / (2 * (others + 1)) / unit[cap_places[j]]);
            END IF;
        END LOOP;
        IF n < 2 THEN
            n := 0;
        ELSE
            SELECT r.state INTO answer FROM agent_fuse.reserve(
                hold || jsonb_build_object('cost', h.hold_usd + n * unit[1],
                    {each("'hold_{m}', h.hold_{m} + n * unit[{i}]")}),
                cap_on, cap_windows, cap_places, cap_amounts, true, now) r;
            IF answer <> 'held' THEN n := 0; END IF;
        END IF;
    END IF;
    RETURN QUERY SELECT n, json_object_agg(x.name, json_build_array(
        {each("x.settled_{m}")}, {each("x.held_{m}")}, x.refused, x.since))
    FROM agent_fuse.accounts x WHERE x.name = ANY (h.on_accounts);
END $$;
"""


def take(server: ServerConnections, owner: tuple[str, int, int], step: LeaseStep, now: float) -> Taken:
    """See leases.base.Lessor."""
    places: dict[tuple[str, ...], rows.Places] = {}

    def placed(names: tuple[str, ...]) -> rows.Places:
        if names not in places:
            places[names] = rows.Places(names)
        return places[names]

    def written(hold: Any) -> dict[str, Any]:
        names = codec.once(hold.accounts)
        return rows.hold(hold, names, placed(names), codec.figures_of(hold.amounts), owner)

    names = codec.once(step.hold.accounts)
    nothing = codec.figures_of(Amounts())
    lines = [
        rows.line(one.entry, codec.once(one.accounts), placed(codec.once(one.accounts)), codec.figures_of(one.amounts))
        for one in step.lines
    ]
    values = (
        rows.texts([rows.put(one) for one in step.before]),
        rows.written(rows.line(step.ended, names, placed(names), nothing)),
        rows.written([_told(one) for one in sorted(lines, key=itemgetter("id"))]),
        rows.written([written(one) for one in step.opened]),
        rows.written(written(step.hold)),
        rows.numbers(codec.figures_of(step.unit)),
        step.most,
        *rows.caps(step.hold.caps),
        now,
    )
    parts, after = server.often("lease", queries.LEASE, values)[0]
    found = cast("dict[str, list[Any]]", after or {})
    return Taken(int(parts), {rows.unput(name): codec.balance(tuple(row)) for name, row in found.items()})


def _told(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what it does not say: the server takes as long to read a NULL as a text."""
    return {name: cell for name, cell in line.items() if cell is not None}

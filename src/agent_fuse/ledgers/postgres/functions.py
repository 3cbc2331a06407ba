"""What the database does by itself: each of a call's steps is one function, and so one round trip.

A function locks in one order, so that two never wait for each other: the call, then accounts by name. The account of
everything is charged on one of its rows, another for each connection, unless a limit of it judges the call.
"""

from agent_fuse.ledgers.codec import METERS

_PLACES = range(1, len(METERS) + 1)


def each(text: str, between: str = ", ") -> str:
    """The text for every meter: `{m}` is its name, `{i}` its place."""
    return between.join(text.format(m=meter, i=place) for meter, place in zip(METERS, _PLACES, strict=True))


_ADD = each("settled_{m} = r.settled_{m} + s[{i}]") + ", " + each("held_{m} = r.held_{m} + h[{i}]")
_HELD = each("h.hold_{m}")
NO = "'{" + ",".join("0" for _ in METERS) + "}'::bigint[]"
_MINUS_HELD = each("-h.hold_{m}")
BIG = 2**53
SYNCHRONOUS = "agent_fuse.synchronous"
"""What a connection says on whose bookings are to wait for the disk: `full`."""
LATER = f"""IF current_setting('{SYNCHRONOUS}', true) IS DISTINCT FROM 'full' THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;"""
"""A booking need not wait for the disk. Should the server crash before it is there, the hold still is, and the call is
booked at its quote when that expires: nothing is lost but the real figure."""

FUNCTIONS = f"""
CREATE FUNCTION agent_fuse.row_of(name text, figures bigint[]) RETURNS text LANGUAGE plpgsql AS $$
-- The row that is charged for an account.
BEGIN
    IF name <> 'all' THEN RETURN name; END IF;
    IF greatest({each("abs(figures[{i}])")}) > {BIG} OR EXISTS (
        SELECT 1 FROM agent_fuse.account_rows r
        WHERE r.name = 'all' AND greatest({each("r.settled_{m}, r.held_{m}")}) > {BIG}) THEN
        RETURN name;
    END IF;
    RETURN 'all' || chr(30) || lpad((pg_backend_pid() % 32)::text, 2, '0');
END $$;

CREATE FUNCTION agent_fuse.oldest(name text, seconds int, now float8) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT name || chr(31) || lpad(greatest(floor(now * 60 / seconds) - 60, 0)::bigint::text, 12, '0') $$;

CREATE FUNCTION agent_fuse.let_leave(account text, seconds int, now float8) RETURNS void LANGUAGE plpgsql AS $$
-- Take off an account what has left its window.
DECLARE gone bigint[];
BEGIN
    PERFORM 1 FROM agent_fuse.account_rows r WHERE r.name = account FOR UPDATE;
    WITH dropped AS (
        DELETE FROM agent_fuse.account_rows r
        WHERE r.name >= account || chr(31) AND r.name < agent_fuse.oldest(account, seconds, now) RETURNING *)
    SELECT array[{each("sum(settled_{m})::bigint")}] INTO gone FROM dropped;
    IF gone[1] IS NOT NULL THEN
        UPDATE agent_fuse.account_rows r SET {each("settled_{m} = r.settled_{m} - gone[{i}]")} WHERE r.name = account;
    END IF;
END $$;

CREATE FUNCTION agent_fuse.end_before(earlier jsonb, i int) RETURNS void LANGUAGE sql AS $$
-- The first account of a calendar's interval ends those two and more before: their calls are over.
    DELETE FROM agent_fuse.account_rows r
    WHERE r.name >= earlier -> i ->> 0 AND r.name < earlier -> i ->> 1 AND r.held_calls = 0 AND r.held_tool_calls = 0
$$;

CREATE FUNCTION agent_fuse.check_all() RETURNS void LANGUAGE plpgsql AS $$
-- The rows of the account of everything must fit together too, where its own was charged (a large figure, or a cap).
DECLARE most numeric;
BEGIN
    SELECT greatest({each("sum(x.settled_{m}::numeric + x.held_{m})")}) INTO most FROM agent_fuse.account_rows x
    WHERE x.name >= 'all' AND x.name < 'all' || chr(31);
    IF most > 9223372036854775807 THEN
        RAISE EXCEPTION 'the account of everything would pass 2^63 - 1' USING ERRCODE = '23514';
    END IF;
END $$;

CREATE FUNCTION agent_fuse.charge(account text, s bigint[], h bigint[], began float8) RETURNS boolean
LANGUAGE plpgsql AS $$
-- Change one row, or make it, and say so.
BEGIN
    UPDATE agent_fuse.account_rows r SET {_ADD}, since = coalesce(r.since, began) WHERE r.name = account;
    IF NOT FOUND THEN
        INSERT INTO agent_fuse.account_rows AS r VALUES (account, {each("s[{i}]")}, {each("h[{i}]")}, 0, began)
        ON CONFLICT (name) DO UPDATE SET {_ADD}, since = coalesce(r.since, began);
        IF account = 'all' THEN PERFORM agent_fuse.check_all(); END IF;
        RETURN true;
    END IF;
    IF account = 'all' THEN PERFORM agent_fuse.check_all(); END IF;
    RETURN false;
END $$;

CREATE FUNCTION agent_fuse.charge_all(
    names text[], buckets text[], windows int[], earlier jsonb, s bigint[], h bigint[], began float8, now float8)
RETURNS void
LANGUAGE plpgsql AS $$
-- Book on accounts, those in a rolling window on their buckets too; what has left a window is no spend of it.
DECLARE i int; has_left boolean;
BEGIN
    FOR i IN 1 .. coalesce(cardinality(names), 0) LOOP
        has_left := windows[i] > 0 AND buckets[i] < agent_fuse.oldest(names[i], windows[i], now);
        IF NOT has_left OR h <> {NO} THEN
            IF agent_fuse.charge(
                agent_fuse.row_of(names[i], s || h), CASE WHEN has_left THEN {NO} ELSE s END, h, began)
                AND earlier -> (i - 1) <> 'null' THEN
                PERFORM agent_fuse.end_before(earlier, i - 1);
            END IF;
        END IF;
        IF windows[i] > 0 AND NOT has_left AND s <> {NO} THEN
            PERFORM agent_fuse.charge(buckets[i], s, {NO}, NULL);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION agent_fuse.used(
    account text, charged boolean, seconds int, place int, now float8, r agent_fuse.account_rows) RETURNS bigint
LANGUAGE plpgsql AS $$
-- What counts against a cap: of a row just charged, else of the account as it stands.
DECLARE a agent_fuse.accounts; o agent_fuse.accounts;
BEGIN
    IF charged THEN
        SELECT r.name, {each("r.settled_{m}")}, {each("r.held_{m}")}, r.refused, r.since INTO a;
        IF account = 'all' THEN
            SELECT 'all', {each("sum(x.settled_{m})")}, {each("sum(x.held_{m})")}, 0, min(x.since) INTO o
            FROM agent_fuse.account_rows x WHERE x.name > 'all' AND x.name < 'all' || chr(31);
            IF o.settled_usd IS NOT NULL THEN
                {each("a.settled_{m} := a.settled_{m} + o.settled_{m}; a.held_{m} := a.held_{m} + o.held_{m};", " ")}
                a.since := least(a.since, o.since);
            END IF;
        END IF;
    ELSE
        SELECT * INTO a FROM agent_fuse.accounts x WHERE x.name = account;
        IF NOT FOUND THEN RETURN 0; END IF;
        IF seconds > 0 THEN
            SELECT '', {each("coalesce(sum(x.settled_{m}), 0)")} INTO o FROM agent_fuse.account_rows x
            WHERE x.name >= account || chr(31) AND x.name < agent_fuse.oldest(account, seconds, now);
            {each("a.settled_{m} := a.settled_{m} - o.settled_{m};", " ")}
        END IF;
    END IF;
    RETURN CASE place {each("WHEN {i} THEN a.settled_{m} + a.held_{m}", " ")}
        WHEN 6 THEN a.held_calls
        ELSE greatest(floor(now - coalesce(nullif(a.since, 0), now)), 0)::bigint END;
END $$;

CREATE FUNCTION agent_fuse.reserve(
    hold jsonb, cap_on text[], cap_windows int[], cap_places int[], cap_amounts bigint[], judged boolean, now float8)
RETURNS TABLE (state text, rows agent_fuse.account_rows[]) LANGUAGE plpgsql AS $$
-- `held` with the rows after it; `booked`; `short` of a cap; `controlled`: something is in force, and not yet judged.
DECLARE
    h agent_fuse.holds := jsonb_populate_record(NULL::agent_fuse.holds, hold);
    old agent_fuse.holds; r agent_fuse.account_rows; new_rows text[] := '{{}}';
    done agent_fuse.account_rows[] := '{{}}';
    deltas bigint[]; delta bigint[]; names text[] := h.on_accounts; i int; j int;
    target text; fits boolean := true; is_new boolean; n text;
BEGIN
    IF NOT judged AND EXISTS (SELECT 1 FROM agent_fuse.controls) THEN
        RETURN QUERY SELECT 'controlled', done; RETURN;
    END IF;
    INSERT INTO agent_fuse.holds SELECT h.* ON CONFLICT (id) DO NOTHING;
    is_new := FOUND;
    IF NOT is_new THEN
        SELECT * INTO old FROM agent_fuse.holds x WHERE x.id = h.id FOR UPDATE;
        IF NOT FOUND THEN RAISE EXCEPTION 'the call was settled just now' USING ERRCODE = '40001'; END IF;
        SELECT array_agg(x ORDER BY x) INTO names FROM (
            SELECT x COLLATE "C" AS x FROM unnest(h.on_accounts) x
            UNION SELECT x COLLATE "C" FROM unnest(old.on_accounts) x) AS both_of;
    ELSIF EXISTS (SELECT 1 FROM agent_fuse.journal x WHERE x.id = h.id AND x.status <> 'refused') THEN
        DELETE FROM agent_fuse.holds x WHERE x.id = h.id;
        RETURN QUERY SELECT 'booked', done; RETURN;
    END IF;
    FOREACH n IN ARRAY coalesce(names, '{{}}') LOOP
        i := array_position(h.on_accounts, n);
        delta := CASE WHEN i IS NULL THEN {NO} ELSE array[{_HELD}] END;
        IF NOT is_new AND n = ANY (old.on_accounts) THEN
            delta := array[{each("delta[{i}] - old.hold_{m}")}];
        END IF;
        target := n;
        IF n = 'all' AND NOT n = ANY (cap_on) THEN target := agent_fuse.row_of(n, delta); END IF;
        UPDATE agent_fuse.account_rows x SET {each("held_{m} = x.held_{m} + delta[{i}]")}
        WHERE x.name = target RETURNING * INTO r;
        IF NOT FOUND THEN
            INSERT INTO agent_fuse.account_rows AS x VALUES (target, {each("0")}, {each("delta[{i}]")}, 0, NULL)
            ON CONFLICT (name) DO UPDATE SET {each("held_{m} = x.held_{m} + delta[{i}]")} RETURNING * INTO r;
            IF r.refused = 0 AND r.since IS NULL AND array[{each("r.held_{m}")}] = delta
                AND array[{each("r.settled_{m}")}] = {NO} THEN new_rows := new_rows || target; END IF;
        ELSIF i IS NOT NULL AND h.windows[i] > 0 THEN
            PERFORM agent_fuse.let_leave(n, h.windows[i], now);
            SELECT * INTO r FROM agent_fuse.account_rows x WHERE x.name = target;
        END IF;
        IF target = 'all' THEN PERFORM agent_fuse.check_all(); END IF;
        done := done || r;
        deltas := deltas || delta;
        FOR j IN 1 .. coalesce(cardinality(cap_on), 0) LOOP
            IF cap_on[j] = n THEN
                fits := fits AND agent_fuse.used(n, true, cap_windows[j], cap_places[j], now, r)
                    <= cap_amounts[j] - (cap_places[j] = 7)::int;
            END IF;
        END LOOP;
    END LOOP;
    FOR j IN 1 .. coalesce(cardinality(cap_on), 0) LOOP
        IF NOT cap_on[j] = ANY (names) THEN
            fits := fits AND agent_fuse.used(cap_on[j], false, cap_windows[j], cap_places[j], now, r)
                <= cap_amounts[j] - (cap_places[j] = 7)::int;
        END IF;
    END LOOP;
    fits := fits AND agent_fuse.fences_fit(cap_on, cap_windows, cap_places, cap_amounts, now);
    IF NOT fits THEN
        FOR i IN 1 .. cardinality(done) LOOP
            IF done[i].name = ANY (new_rows) THEN
                DELETE FROM agent_fuse.account_rows x WHERE x.name = done[i].name;
            ELSE
                UPDATE agent_fuse.account_rows x
                SET {each("held_{m} = x.held_{m} - deltas[(i - 1) * 5 + {i}]")} WHERE x.name = done[i].name;
            END IF;
        END LOOP;
        IF is_new THEN DELETE FROM agent_fuse.holds x WHERE x.id = h.id; END IF;
        RETURN QUERY SELECT 'short', '{{}}'::agent_fuse.account_rows[]; RETURN;
    END IF;
    FOR i IN 1 .. coalesce(cardinality(done), 0) LOOP
        IF done[i].since IS NULL THEN
            done[i].since := now;
            UPDATE agent_fuse.account_rows x SET since = now WHERE x.name = done[i].name;
        END IF;
        j := array_position(h.on_accounts, done[i].name) - 1;
        IF done[i].name = ANY (new_rows) AND hold -> 'earlier' -> j <> 'null' THEN
            PERFORM agent_fuse.end_before(hold -> 'earlier', j);
        END IF;
    END LOOP;
    IF NOT is_new THEN
        DELETE FROM agent_fuse.holds x WHERE x.id = h.id;
        INSERT INTO agent_fuse.holds SELECT h.*;
    END IF;
    RETURN QUERY SELECT 'held', done;
END $$;

CREATE FUNCTION agent_fuse.release(call text, now float8) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE h agent_fuse.holds;
BEGIN
    DELETE FROM agent_fuse.holds x WHERE x.id = call RETURNING * INTO h;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM agent_fuse.charge_all(h.on_accounts, h.buckets, h.windows, NULL, {NO}, array[{_MINUS_HELD}], NULL, now);
    RETURN true;
END $$;

CREATE FUNCTION agent_fuse.settle(line jsonb, now float8) RETURNS text LANGUAGE plpgsql AS $$
-- Book a call, free its hold: `booked`, `corrected` or `unchanged`. `line` is the journal's, booked on its accounts.
DECLARE
    l agent_fuse.journal := jsonb_populate_record(NULL::agent_fuse.journal, line);
    kept agent_fuse.journal; old agent_fuse.journal; h agent_fuse.holds; s bigint[]; had boolean;
BEGIN
    DELETE FROM agent_fuse.holds x WHERE x.id = l.id RETURNING * INTO h;
    had := FOUND;
    IF had THEN
        {LATER}
        l.accounts := h.accounts; l.on_accounts := h.on_accounts; l.buckets := h.buckets; l.windows := h.windows;
    END IF;
    s := array[{each("l.booked_{m}")}];
    kept := l;
    IF l.status = 'settled' THEN
        kept.accounts := NULL; kept.on_accounts := NULL; kept.buckets := NULL; kept.windows := NULL;
        {each("kept.booked_{m} := NULL;", " ")}
    END IF;
    INSERT INTO agent_fuse.journal SELECT kept.* ON CONFLICT (id) DO NOTHING;
    IF FOUND THEN
        PERFORM agent_fuse.charge_all(l.on_accounts, l.buckets, l.windows, line -> 'earlier', s,
            CASE WHEN had THEN array[{_MINUS_HELD}] ELSE {NO} END, CASE WHEN had THEN NULL ELSE now END, now);
        RETURN 'booked';
    END IF;
    IF had THEN
        PERFORM agent_fuse.charge_all(
            h.on_accounts, h.buckets, h.windows, NULL, {NO}, array[{_MINUS_HELD}], NULL, now);
    END IF;
    SELECT * INTO old FROM agent_fuse.journal x WHERE x.id = l.id FOR UPDATE;
    IF NOT FOUND OR old.status = 'settled' OR (old.status <> 'refused' AND l.status <> 'settled') THEN
        RETURN 'unchanged';
    END IF;
    IF old.status <> 'refused' THEN
        l.on_accounts := old.on_accounts; l.buckets := old.buckets; l.windows := old.windows;
        s := array[{each("s[{i}] - old.booked_{m}")}];
    END IF;
    DELETE FROM agent_fuse.journal x WHERE x.id = l.id;
    INSERT INTO agent_fuse.journal SELECT kept.*;
    PERFORM agent_fuse.charge_all(l.on_accounts, l.buckets, l.windows, NULL, s, {NO}, now, now);
    RETURN CASE WHEN old.status = 'refused' THEN 'booked' ELSE 'corrected' END;
END $$;

CREATE FUNCTION agent_fuse.count_call(
    hold jsonb, line jsonb, cap_on text[], cap_windows int[], cap_places int[], cap_amounts bigint[],
    judged boolean, now float8, note text, note_before bytea, note_after bytea, counts boolean)
RETURNS text LANGUAGE plpgsql AS $$
-- Reserve and settle at once, and change a note in the same step; `changed` where another changed it meanwhile.
DECLARE answer text; waits text := current_setting('synchronous_commit');
BEGIN
    IF counts AND NOT judged AND EXISTS (SELECT 1 FROM agent_fuse.controls) THEN RETURN 'controlled'; END IF;
    IF note IS NOT NULL AND NOT agent_fuse.swap_note(note, note_before, note_after, now) THEN RETURN 'changed'; END IF;
    IF NOT counts THEN RETURN 'uncounted'; END IF;
    SELECT state INTO answer
    FROM agent_fuse.reserve(hold, cap_on, cap_windows, cap_places, cap_amounts, true, now);
    IF answer = 'held' THEN
        PERFORM agent_fuse.settle(line, now);
        PERFORM set_config('synchronous_commit', waits, true);
    END IF;
    RETURN answer;
END $$;

CREATE FUNCTION agent_fuse.refuse(line jsonb, names text[], earlier jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE l agent_fuse.journal := jsonb_populate_record(NULL::agent_fuse.journal, line); i int;
BEGIN
    INSERT INTO agent_fuse.journal SELECT l.* ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    FOR i IN 1 .. coalesce(cardinality(names), 0) LOOP
        INSERT INTO agent_fuse.account_rows AS r (name, refused) VALUES (agent_fuse.row_of(names[i], {NO}), 1)
        ON CONFLICT (name) DO UPDATE SET refused = r.refused + 1;
        IF earlier -> (i - 1) <> 'null' THEN PERFORM agent_fuse.end_before(earlier, i - 1); END IF;
    END LOOP;
END $$;

CREATE FUNCTION agent_fuse.swap_note(name text, old bytea, new bytea, now float8) RETURNS boolean
LANGUAGE plpgsql AS $$
-- Change a note if it is still as it was read.
BEGIN
    IF old IS NULL AND new IS NULL THEN RETURN NOT EXISTS (SELECT 1 FROM agent_fuse.notes n WHERE n.key = name); END IF;
    IF old IS NULL THEN
        INSERT INTO agent_fuse.notes VALUES (name, now, new) ON CONFLICT (key) DO NOTHING;
    ELSIF new IS NULL THEN
        DELETE FROM agent_fuse.notes n WHERE n.key = name AND n.value = old;
    ELSE
        UPDATE agent_fuse.notes n SET value = new, at = now WHERE n.key = name AND n.value = old;
    END IF;
    RETURN FOUND;
END $$;

CREATE FUNCTION agent_fuse.control(
    name text, old text, new text, note text, note_value bytea, now float8) RETURNS boolean LANGUAGE plpgsql AS $$
-- Put something in force for an account if what is in force is still `old`.
DECLARE done boolean;
BEGIN
    IF old IS NULL THEN
        IF new IS NULL THEN done := NOT EXISTS (SELECT 1 FROM agent_fuse.controls c WHERE c.account = name);
        ELSE INSERT INTO agent_fuse.controls VALUES (name, new) ON CONFLICT DO NOTHING; done := FOUND; END IF;
    ELSIF new IS NULL THEN DELETE FROM agent_fuse.controls c WHERE c.account = name AND c.control = old; done := FOUND;
    ELSE UPDATE agent_fuse.controls c SET control = new WHERE c.account = name AND c.control = old; done := FOUND;
    END IF;
    IF done AND note IS NOT NULL THEN
        INSERT INTO agent_fuse.notes VALUES (note, now, note_value)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = excluded.at;
    END IF;
    RETURN done;
END $$;
"""

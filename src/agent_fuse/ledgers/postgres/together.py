"""What the database does for several new calls at once: the short way, which most calls go, one or many in a step.

It is taken or left whole. Where a call is not plain (an account that is not there yet, a cap without room, something in
force, a call that is held or booked already) nothing is changed, and each call goes the exact way of `functions`.
"""

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.postgres.functions import BIG, LATER, NO, each

NOT_PLAIN = "AF001"
"""SQLSTATE where the short way was begun and had to be left."""

_CALL = ", ".join(codec.ENTRY)
_CALL_OF_L = ", ".join(f"l.{one}" for one in codec.ENTRY)
_SPREAD = "'all' || chr(30) || lpad((pg_backend_pid() % 32)::text, 2, '0')"
_FIGURES = f"{each('r.settled_{m}')}, {each('r.held_{m}')}, r.refused, (r.since * 1e6)::bigint"
_HUGE = f"""EXISTS (SELECT 1 FROM agent_fuse.account_rows x
    WHERE x.name = 'all' AND greatest({each("x.settled_{m}, x.held_{m}")}) > {BIG})"""
_ROOM = f"""{
    each("(a.max_{m} IS NULL OR x.settled_{m} + x.held_{m} <= a.max_{m} - a.{m})", " AND ")
} AND (a.max_concurrent IS NULL OR x.held_calls <= a.max_concurrent - a.calls)
        AND (a.max_seconds IS NULL OR floor(now - coalesce(nullif(x.since, 0), now)) < a.max_seconds)"""

FUNCTIONS = f"""
CREATE FUNCTION agent_fuse.reserve_together(asked json, holds json, now float8) RETURNS bigint[] LANGUAGE plpgsql AS $$
-- Hold new calls: the figures of their accounts after it, 12 for each; NULL where nothing was done.
DECLARE
    a record; r agent_fuse.account_rows; o record; after bigint[] := '{{}}'; target text; n int := 0; fresh int;
    booked boolean;
BEGIN
    IF EXISTS (SELECT 1 FROM agent_fuse.controls) OR {_HUGE} THEN RETURN NULL; END IF;
    FOR a IN SELECT * FROM json_to_recordset(asked) AS one(name text, seconds int, {each("{m} bigint, max_{m} bigint")},
        max_concurrent bigint, max_seconds bigint, capped boolean)
    LOOP
        IF a.seconds > 0 AND EXISTS (SELECT 1 FROM agent_fuse.account_rows x WHERE x.name >= a.name || chr(31)
            AND x.name < agent_fuse.oldest(a.name, a.seconds, now)) THEN
            PERFORM agent_fuse.let_leave(a.name, a.seconds, now);
        END IF;
        target := CASE WHEN a.name = 'all' AND NOT a.capped THEN {_SPREAD} ELSE a.name END;
        UPDATE agent_fuse.account_rows x SET {each("held_{m} = x.held_{m} + a.{m}")}, since = coalesce(x.since, now)
        WHERE x.name = target AND {_ROOM} RETURNING * INTO r;
        IF NOT FOUND THEN
            IF n = 0 THEN RETURN NULL; END IF;
            RAISE EXCEPTION 'not plain' USING ERRCODE = '{NOT_PLAIN}';
        END IF;
        n := n + 1;
        IF target = 'all' THEN
            SELECT {each("coalesce(sum(x.settled_{m}), 0) AS s{i}, coalesce(sum(x.held_{m}), 0) AS h{i}")} INTO o
            FROM agent_fuse.account_rows x WHERE x.name > 'all' AND x.name < 'all' || chr(31);
            {each("r.settled_{m} := r.settled_{m} + o.s{i}; r.held_{m} := r.held_{m} + o.h{i};", " ")}
            IF {each("r.settled_{m} + r.held_{m} > a.max_{m}", " OR ")} OR r.held_calls > a.max_concurrent THEN
                RAISE EXCEPTION 'not plain' USING ERRCODE = '{NOT_PLAIN}';
            END IF;
        END IF;
        after := after || array[{_FIGURES}];
    END LOOP;
    WITH new AS (
        INSERT INTO agent_fuse.holds SELECT * FROM json_populate_recordset(NULL::agent_fuse.holds, holds)
        ON CONFLICT (id) DO NOTHING RETURNING id)
    SELECT count(*), bool_or(EXISTS (SELECT 1 FROM agent_fuse.journal j WHERE j.id = new.id AND j.status <> 'refused'))
    INTO fresh, booked FROM new;
    IF fresh <> json_array_length(holds) OR booked OR EXISTS (SELECT 1 FROM agent_fuse.controls) THEN
        RAISE EXCEPTION 'not plain' USING ERRCODE = '{NOT_PLAIN}';
    END IF;
    RETURN after;
END $$;

CREATE FUNCTION agent_fuse.settle_together(lines json, now float8) RETURNS boolean LANGUAGE plpgsql AS $$
-- Book calls that are held, at real figures: whether it was done.
DECLARE a record; target text; n int := 0;
BEGIN
    IF {_HUGE} THEN RETURN false; END IF;
    FOR a IN
        WITH l AS MATERIALIZED (SELECT * FROM json_populate_recordset(NULL::agent_fuse.journal, lines)),
        gone AS (DELETE FROM agent_fuse.holds h USING l WHERE h.id = l.id
            RETURNING h.on_accounts, h.buckets, h.windows, {each("h.hold_{m}, l.booked_{m}")}),
        put AS (INSERT INTO agent_fuse.journal ({_CALL}) SELECT {_CALL_OF_L} FROM l
            ON CONFLICT (id) DO NOTHING RETURNING 1)
        SELECT p.name, p.bucket, p.seconds,
            {each("sum(booked_{m})::bigint AS s{i}, sum(hold_{m})::bigint AS h{i}")},
            (SELECT count(*) FROM gone) AS gone, (SELECT count(*) FROM put) AS put
        FROM gone LEFT JOIN LATERAL unnest(on_accounts, buckets, windows) AS p(name, bucket, seconds) ON true
        GROUP BY p.name, p.bucket, p.seconds ORDER BY p.name, p.bucket
    LOOP
        IF n = 0 AND (a.gone <> json_array_length(lines) OR a.put <> a.gone) THEN
            RAISE EXCEPTION 'not plain' USING ERRCODE = '{NOT_PLAIN}';
        END IF;
        n := n + 1;
        CONTINUE WHEN a.name IS NULL;
        IF a.seconds > 0 AND a.bucket < agent_fuse.oldest(a.name, a.seconds, now) THEN
            {each("a.s{i} := 0;", " ")}
        END IF;
        target := CASE a.name WHEN 'all' THEN {_SPREAD} ELSE a.name END;
        UPDATE agent_fuse.account_rows x
        SET {each("settled_{m} = x.settled_{m} + a.s{i}, held_{m} = x.held_{m} - a.h{i}")} WHERE x.name = target;
        IF NOT FOUND THEN
            PERFORM agent_fuse.charge(target, array[{each("a.s{i}")}], array[{each("-a.h{i}")}], NULL);
        END IF;
        IF a.seconds > 0 AND greatest({each("a.s{i}")}) > 0 THEN
            PERFORM agent_fuse.charge(a.bucket, array[{each("a.s{i}")}], {NO}, NULL);
        END IF;
    END LOOP;
    IF n = 0 THEN RAISE EXCEPTION 'not plain' USING ERRCODE = '{NOT_PLAIN}'; END IF;
    {LATER}
    RETURN true;
END $$;

CREATE FUNCTION agent_fuse.reserve_one(
    hold jsonb, cap_on text[], cap_windows int[], cap_places int[], cap_amounts bigint[], judged boolean, now float8)
RETURNS TABLE (state text, names text[], figures bigint[], facts json) LANGUAGE plpgsql AS $$
-- Hold a call the exact way: its accounts after it; or why not, and what tells it.
DECLARE rows agent_fuse.account_rows[]; r agent_fuse.account_rows;
BEGIN
    SELECT f.state, f.rows INTO state, rows
    FROM agent_fuse.reserve(hold, cap_on, cap_windows, cap_places, cap_amounts, judged, now) f;
    IF state = 'held' THEN
        FOREACH r IN ARRAY rows LOOP
            names := names || r.name;
            figures := figures || array[{_FIGURES}];
        END LOOP;
    ELSIF state = 'controlled' THEN
        SELECT json_object_agg(c.account, c.control) INTO facts FROM agent_fuse.controls c HAVING count(*) <= 100;
    ELSIF state = 'short' THEN
        facts := agent_fuse.facts(hold ->> 'id', cap_on, cap_windows, now);
    END IF;
    RETURN NEXT;
END $$;

CREATE FUNCTION agent_fuse.facts(call text, cap_on text[], cap_windows int[], now float8) RETURNS json
LANGUAGE sql AS $$
-- What tells why a call was not held: the caps' accounts, what the call holds already, fences, and buckets.
    SELECT json_build_object(
        'fences', (SELECT json_agg(json_build_array(c, f.fence, f.used))
            FROM unnest(cap_on) AS c, agent_fuse.fences_on(c, now) AS f),
        'accounts', (SELECT json_agg(json_build_array(a.name, {each("a.settled_{m}")}, {each("a.held_{m}")},
            a.refused, a.since)) FROM agent_fuse.accounts a WHERE a.name = ANY(cap_on)),
        'mine', (SELECT json_build_array(h.on_accounts, {each("h.hold_{m}")}) FROM agent_fuse.holds h
            WHERE h.id = call),
        'buckets', (SELECT json_agg(json_build_array(c.name, r.name, {each("r.settled_{m}")}) ORDER BY r.name)
            FROM unnest(cap_on, cap_windows) AS c(name, seconds), agent_fuse.account_rows r
            WHERE c.seconds > 0 AND r.name >= c.name || chr(31) AND r.name < c.name || chr(31) || 'a'))
$$;
"""

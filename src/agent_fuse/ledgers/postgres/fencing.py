"""Fences in PostgreSQL: whether caps admit, beside what is used, what is kept for sessions inside, of one moment."""

FUNCTIONS = r"""
CREATE FUNCTION agent_fuse.plain(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
-- The account of the same key and value without a window, as `account_names.plain` says.
    SELECT CASE WHEN name ~ '^[^=]*?@(\d+[smhd]|hour|day|week|month)(:[^=@]+)?(=|\x1f|$)' THEN
        regexp_replace(split_part(name, chr(31), 1),
            '^([^=]*?)@(\d+[smhd]|hour|day|week|month)(:[^=@]+)?(=|$)', '\1\4')
        ELSE name END $$;

CREATE FUNCTION agent_fuse.fences_on(account text, now float8) RETURNS TABLE (fence json, used bigint)
LANGUAGE sql STABLE AS $$
-- The fences that stand on an account, and what the account that each is kept for has used.
    SELECT f, coalesce(x.settled_usd + x.held_usd, 0)
    FROM agent_fuse.controls o CROSS JOIN LATERAL json_array_elements(o.control::json -> 'fences') AS f
    LEFT JOIN agent_fuse.accounts x ON x.name = f ->> 'child'
    WHERE o.account = agent_fuse.plain($1) AND now < (f ->> 'until')::float8 $$;

CREATE FUNCTION agent_fuse.fences_fit(
    cap_on text[], cap_windows int[], cap_places int[], cap_amounts bigint[], now float8) RETURNS boolean
LANGUAGE plpgsql AS $$
-- Whether caps in dollars admit what stands on their accounts, a call just held included, beside what fences keep.
DECLARE fit boolean;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM agent_fuse.controls c WHERE c.control LIKE '%"fences"%') THEN RETURN true; END IF;
    -- One statement, and so one moment: a booking takes from the child and from the account at once.
    SELECT coalesce(bool_and(coalesce(a.settled_usd + a.held_usd, 0) - coalesce(g.gone, 0) + k.kept <= c.amount), true)
    INTO fit FROM unnest(cap_on, cap_windows, cap_places, cap_amounts) AS c(name, seconds, place, amount)
    LEFT JOIN agent_fuse.accounts a ON a.name = c.name
    CROSS JOIN LATERAL (SELECT sum(x.settled_usd)::bigint AS gone FROM agent_fuse.account_rows x
        WHERE c.seconds > 0 AND x.name >= c.name || chr(31)
        AND x.name < agent_fuse.oldest(c.name, c.seconds, now)) AS g
    CROSS JOIN LATERAL (SELECT coalesce(sum(one.rest), 0)::bigint AS kept FROM (
        SELECT greatest(max((f.fence ->> 'amount')::bigint) - max(f.used), 0) AS rest
        FROM agent_fuse.fences_on(c.name, now) AS f GROUP BY f.fence ->> 'child') AS one) AS k
    WHERE c.place = 1 AND k.kept > 0;
    RETURN fit;
END $$;
"""

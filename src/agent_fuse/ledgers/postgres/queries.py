"""What the ledger asks the database."""

from agent_fuse.ledgers import codec
from agent_fuse.ledgers.codec import METERS

PAGE = 1000
"""Rows read, presumed or pruned at a time."""

FIGURES = ", ".join([f"{what}_{one}" for what in ("settled", "held") for one in METERS] + ["refused", "since"])
SETTLED = ", ".join(f"settled_{one}" for one in METERS)
CALL = ", ".join(codec.ENTRY)
HOLD = f"{CALL}, accounts, {', '.join(f'hold_{one}' for one in METERS)}, expires_at"
ACCOUNTS = f"SELECT name, {FIGURES} FROM agent_fuse.accounts WHERE name = ANY(%s)"
RESERVE = "SELECT state, names, figures, facts::text FROM agent_fuse.reserve_one(%s, %s, %s, %s, %s, %s, %s)"
RESERVE_TOGETHER = "SELECT agent_fuse.reserve_together(%s, %s, %s)"
SETTLE = "SELECT agent_fuse.settle(%s, %s)"
SETTLE_TOGETHER = "SELECT agent_fuse.settle_together(%s, %s)"
COUNT = "SELECT agent_fuse.count_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
LEASE = "SELECT parts, after FROM agent_fuse.lease(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
BUCKETS = f"SELECT name, {SETTLED} FROM agent_fuse.account_rows WHERE name >= %s AND name < %s ORDER BY name"
CONTROLS = "SELECT account, control FROM agent_fuse.controls"
LINES = f"""SELECT {CALL}, {", ".join(codec.REFUSED_BY)} FROM agent_fuse.journal
    WHERE at >= %s AND (at, id) < (%s, %s) ORDER BY at DESC, id DESC LIMIT %s"""
PRUNE = f"""DELETE FROM agent_fuse.journal WHERE id IN
    (SELECT id FROM agent_fuse.journal WHERE at < %s ORDER BY at, id LIMIT {PAGE}) RETURNING 1"""
PRUNE_NOTES = """DELETE FROM agent_fuse.notes
    WHERE at < %s AND NOT starts_with(key, 'caps/') AND key <> 'loops/key' RETURNING 1"""
DROP_IDLE = """DELETE FROM agent_fuse.account_rows
    WHERE name = %s AND held_calls = 0 AND held_tool_calls = 0 RETURNING 1"""
FACTS = "SELECT agent_fuse.facts(%s, %s, %s, %s)::text"
ACCOUNTS_FROM = f"SELECT name, {FIGURES} FROM agent_fuse.accounts WHERE name >= %s ORDER BY name LIMIT {PAGE}"
ACCOUNTS_AFTER = f"SELECT name, {FIGURES} FROM agent_fuse.accounts WHERE name > %s ORDER BY name LIMIT {PAGE}"
HOLDS = f"SELECT {HOLD} FROM agent_fuse.holds ORDER BY at, id"
OF_OWNER = f"SELECT {HOLD} FROM agent_fuse.holds WHERE host = %s AND pid = %s AND started = %s LIMIT {PAGE}"

SILENT = 60
"""Seconds after which a process of another machine whose pulse was heard of is taken to be dead."""
FORGOTTEN = 86_400
"""Seconds after which a pulse that nobody stopped is deleted."""
PULSE = "alive/"
"""Begins the names of notes that keep one: when it beat last is their time, by the server's clock."""

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_OF = f"'{PULSE}' || h.pid || ' ' || h.started || ' ' || h.host"
BEAT = f"""INSERT INTO agent_fuse.notes (key, at, value)
    SELECT DISTINCT {_OF}, {_NOW}, convert_to((%s - {_NOW})::text, 'UTF8') FROM agent_fuse.holds h
    WHERE h.host = %s AND h.pid = %s AND h.started = %s
    ON CONFLICT (key) DO UPDATE SET at = excluded.at, value = excluded.value RETURNING 1"""
STILL = f"DELETE FROM agent_fuse.notes WHERE key = '{PULSE}' || %s || ' ' || %s || ' ' || %s RETURNING 1"
SILENT_OWNERS = f"""WITH forgotten AS (DELETE FROM agent_fuse.notes
        WHERE key >= '{PULSE}' AND key < '{PULSE[:-1]}0' AND at < {_NOW} - {FORGOTTEN})
    SELECT DISTINCT h.host, h.pid, h.started FROM agent_fuse.holds h
    JOIN agent_fuse.notes n ON n.key = {_OF}
    WHERE h.host <> %s AND n.at < {_NOW} - {SILENT}
    AND extract(epoch FROM pg_postmaster_start_time()) < {_NOW} - {SILENT}"""
"""Where the server was away, everybody was silent."""
OF_THE_PAST = f"""SELECT {HOLD} FROM agent_fuse.holds h WHERE expires_at <= %s
    AND NOT (h.host <> %s AND EXISTS (SELECT 1 FROM agent_fuse.notes n WHERE n.key = {_OF}
        AND n.at >= {_NOW} - {SILENT} AND h.expires_at > {_NOW} + convert_from(n.value, 'UTF8')::float8))
    LIMIT {PAGE}"""
"""A process of another machine that is alive has a clock of its own, by which its holds expire."""
OWNERS = "SELECT DISTINCT host, pid, started FROM agent_fuse.holds WHERE host = %s"
INTERVALS = f"""SELECT name FROM agent_fuse.account_rows
    WHERE strpos(name, chr(31)) > 0 AND name > %s ORDER BY name LIMIT {PAGE}"""
CONTROLS_OF = f"{CONTROLS} WHERE account = ANY(%s)"
REFUSE = "SELECT agent_fuse.refuse(%s, %s, %s)"
SWAP_NOTE = "SELECT agent_fuse.swap_note(%s, %s, %s, %s)"
CONTROL = "SELECT agent_fuse.control(%s, %s, %s, %s, %s, %s)"

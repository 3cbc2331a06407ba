"""Rights: the least that a role needs to keep the books, and what it lacks."""

from collections.abc import Sequence

from psycopg import sql

from agent_fuse.ledgers.postgres.connections import ServerConnections
from agent_fuse.mistakes import ConfigurationError

_WRITTEN = ("account_rows", "controls", "holds", "journal", "notes")
_LEAST = {"accounts": ("SELECT",), "version": ("SELECT",)} | dict.fromkeys(
    _WRITTEN, ("SELECT", "INSERT", "UPDATE", "DELETE")
)
WRITTEN_NAMES = ", ".join(f"agent_fuse.{one}" for one in _WRITTEN)
"""The tables that a fuse writes."""

_MAY_USE = """SELECT current_user, has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace
    WHERE nspname = 'agent_fuse'"""
_TABLES = """SELECT t.relname, p.name, has_table_privilege(t.oid, p.name) FROM pg_catalog.pg_class t
    JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace, unnest(%s::text[]) AS p(name)
    WHERE s.nspname = 'agent_fuse' AND t.relname = ANY(%s)"""
_FUNCTIONS = """SELECT count(*) FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace s ON s.oid = f.pronamespace
    WHERE s.nspname = 'agent_fuse' AND NOT has_function_privilege(f.oid, 'EXECUTE')"""
_IS_ROLE = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s"


def statements(role: str) -> list[str]:
    """What gives a role the least."""
    name = sql.Identifier(role).as_string(None)
    return [
        f"GRANT USAGE ON SCHEMA agent_fuse TO {name}",
        f"GRANT SELECT ON agent_fuse.accounts, agent_fuse.version TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {WRITTEN_NAMES} TO {name}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA agent_fuse TO {name}",
    ]


def give(server: ServerConnections, role: str) -> None:
    """Give a role just that, all or nothing. Raises ConfigurationError, LedgerError."""
    if not server.ask("grant", _IS_ROLE, (role,)):
        raise ConfigurationError(
            f"--grant is {role!r}, and there is no such role in {server.where}; CREATE ROLE it first"
        )
    server.run("grant", statements(role))


def lacking(server: ServerConnections) -> tuple[list[str], bool]:
    """What this role lacks, a line each; and whether it may read."""
    role, may_use = server.ask("check", _MAY_USE)[0]
    if not may_use:
        return [f"role {role} lacks USAGE of the schema agent_fuse{_fix(role)}"], False
    found = {(table, right) for table, right, has in server.ask("check", _TABLES, _asked()) if not has}
    faults: list[str] = []
    for table, rights in sorted(_LEAST.items()):
        missing = [one for one in rights if (table, one) in found]
        if missing:
            faults.append(f"role {role} lacks {', '.join(missing)} on agent_fuse.{table}{_fix(role)}")
    locked = server.ask("check", _FUNCTIONS)[0][0]
    if locked:
        faults.append(f"role {role} lacks EXECUTE on {locked} functions of agent_fuse{_fix(role)}")
    return faults, not any(right == "SELECT" for _, right in found)


def _asked() -> Sequence[list[str]]:
    return ["SELECT", "INSERT", "UPDATE", "DELETE"], list(_LEAST)


def _fix(role: str) -> str:
    return f": its owner gives it by agent-fuse ledger init --grant {role}"

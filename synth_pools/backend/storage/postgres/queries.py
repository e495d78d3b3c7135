"""Queries of a PostgreSQL database, by a user who may read the views and nothing else.

The server has no way to allow a statement some functions and no others, and any user may take its
locks, wait, or fill its memory by calling one. So the words of a statement are looked at, too.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Self

import asyncpg

from synth_pools.backend.errors import StoreAwayError, StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import StorageError
from synth_pools.backend.storage.postgres.connection import DRIVER_ERRORS, StatementError
from synth_pools.backend.storage.postgres.schema import SCHEMA, WRITERS_LOCK
from synth_pools.backend.storage.postgres.sessions import StoreSessions, opened_session
from synth_pools.backend.storage.queries import (
    LARGEST_ROW,
    Queries,
    QueryLimits,
    QueryRefusedError,
    document,
    require_reading,
    too_long,
    views,
)

_VIEW_SCHEMA = "synth_pools_views"
_FIGURES = """LATERAL (
    SELECT entry.key, CAST(CAST(entry.value AS TEXT) AS NUMERIC) AS value
    FROM (SELECT CAST(regexp_replace(usage, '\\\\.', '_', 'g') AS json) AS reported) AS document,
        LATERAL (
            SELECT * FROM json_each(reported) UNION ALL
            SELECT * FROM json_each(COALESCE(reported -> 'more', '{}'))
        ) AS entry
    WHERE json_typeof(entry.value) = 'number'
) AS figure"""
VIEWS = views(SCHEMA, f"{_VIEW_SCHEMA}.unescaped({{}})", _FIGURES, "TRUE")
# Escapes of what no text of the server can hold stay as they are.
_UNESCAPED = f"""
CREATE OR REPLACE FUNCTION {_VIEW_SCHEMA}.unescaped(name TEXT) RETURNS TEXT
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    IF strpos(name, chr(92)) = 0 THEN
        RETURN name;
    END IF;
    RETURN CAST('"' || name || '"' AS json) #>> '{{}}';
EXCEPTION WHEN OTHERS THEN
    RETURN name;
END $$
"""
# Rights of the user beside reading the views: its own, those of other roles, and on other tables.
_TOO_MUCH = f"""
SELECT 'has more rights than a user who only reads' WHERE EXISTS (
    SELECT FROM pg_roles WHERE rolname = current_user AND (
        rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    )
) UNION ALL
SELECT 'is a member of the role ' || rolname FROM pg_roles
WHERE rolname <> current_user AND pg_has_role(current_user, oid, 'MEMBER')
UNION ALL
SELECT 'may use the table ' || nspname || '.' || relname
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'v', 'm', 'f', 'p')
    AND nspname NOT IN ('pg_catalog', 'information_schema', '{_VIEW_SCHEMA}')
    AND has_schema_privilege(pg_namespace.oid, 'USAGE') AND (
        has_table_privilege(pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(pg_class.oid, 'SELECT, INSERT, UPDATE')
    )
UNION ALL
SELECT 'may create in the schema ' || nspname FROM pg_namespace
WHERE has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT 'may write any amount of temporary files: ALTER ROLE ' || quote_ident(current_user)
    || ' SET temp_file_limit = ''1GB''' WHERE current_setting('temp_file_limit') = '-1'
LIMIT 1
"""  # noqa: S608 - of ours
# A row that the memory of the backend need not hold is an error: its text is no integer.
_BOUNDED = f"""
SELECT * FROM ({{sql}}) AS answer WHERE CASE WHEN pg_column_size(answer.*) > {LARGEST_ROW:d}
    THEN CAST(concat('a row of ', pg_column_size(answer.*), ' bytes') AS INTEGER) ELSE 1 END = 1
"""  # noqa: S608 - of ours
# What the server reports of a query that needs too much memory, or too large temporary files.
_TOO_LARGE = ("53200", "53400")
# Rows that are read at once: more after small ones, but as many of the largest fit in memory.
_PORTION, _LARGEST_PORTION = 10, 20
_SMALL_PORTION = 65_536
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")+)"|([^\W\d]\w*)|--|/\*|\s+|.""", re.DOTALL)
# Words that may precede a parenthesis: of the language, types, and functions of bounded cost.
_CALLABLE_WORDS = """
all and any as between by case distinct else end except exists filter from group
having in intersect is join lateral like limit not offset on or over select some then union
using values when where with within
bigint boolean cast char date decimal float int integer numeric real smallint text time
timestamp varchar
abs avg bool_and bool_or cardinality ceil ceiling char_length coalesce concat concat_ws
corr count cume_dist date_part date_trunc dense_rank div exp extract first_value floor
greatest initcap json_array_length json_extract_path_text json_typeof lag last_value lead
least left length ln log lower ltrim materialized max min mod mode nth_value ntile nullif
percent_rank percentile_cont percentile_disc position power rank right round row row_number
rtrim sign split_part sqrt starts_with stddev stddev_pop stddev_samp strpos substr substring
sum to_char trim trunc upper var_pop var_samp variance width_bucket
"""
_CALLABLE = frozenset(_CALLABLE_WORDS.split())


class PostgresQueries(Queries):
    """Queries of a database, each in a session of its own.

    Use `open`.
    """

    def __init__(self, url: StoreURL) -> None:
        self._sessions = StoreSessions(url)

    @classmethod
    async def open(cls, store: StoreURL, query_store: StoreURL) -> Self:
        """Make the views, and check that a user may read them and nothing else.

        Args:
            store: The address of the database, by the user who owns the tables.
            query_store: Its address by the user of queries.

        Raises:
            StoreAwayError: The server cannot be reached, or is starting.
            StoreError: The views cannot be made, or the user may do more.
        """
        queries = cls(query_store)
        try:
            async with opened_session(queries._sessions) as reader:
                role = str(await reader.fetchval("SELECT quote_ident(current_user)"))
                excess = await reader.fetchval(_TOO_MUCH)
                if excess is not None:
                    raise StoreError(f"the user of {query_store} {excess}")
                await _make_views(store, role)
                await reader.execute(f"SELECT 1 FROM {_VIEW_SCHEMA}.rollouts LIMIT 0")  # noqa: S608
        except (StatementError, *DRIVER_ERRORS) as error:
            failure = error if isinstance(error, StatementError) else StatementError(error)
            reason = query_store.masked(store.masked(str(failure)))
            raise (StoreAwayError if failure.is_away else StoreError)(
                f"cannot use {query_store} for queries: {reason}"
            ) from None
        return queries

    async def answer(self, sql: str, limits: QueryLimits) -> str:
        """Answer a statement in a transaction that only reads."""
        require_reading(sql)
        require_known_words(sql)
        try:
            # The server's limit is one for each portion of the rows.
            async with opened_session(self._sessions) as reader, asyncio.timeout(limits.seconds):
                return await _answer(reader, sql, limits)
        except (StatementError, *DRIVER_ERRORS) as error:
            failure = error if isinstance(error, StatementError) else StatementError(error)
            if failure.is_late:
                raise too_long(limits) from None
            is_too_large = getattr(error, "sqlstate", None) in _TOO_LARGE
            # No session could be opened, or the server ended it.
            if failure is error or (failure.is_away and not is_too_large):
                raise StorageError(self._sessions.url.masked(str(failure))) from None
            raise QueryRefusedError(str(failure)) from None
        except (ValueError, OverflowError) as error:
            # A date that Python has not.
            raise QueryRefusedError(str(error)) from None

    async def close(self) -> None:
        """Do nothing: each session ends with its query."""


async def _make_views(store: StoreURL, role: str) -> None:
    """Make the views, and let a role read them."""
    async with opened_session(StoreSessions(store)) as writer, writer.transaction():
        await writer.execute("SELECT pg_advisory_xact_lock($1, $2)", *WRITERS_LOCK)
        if not await writer.fetchval("SELECT to_regnamespace($1) IS NOT NULL", _VIEW_SCHEMA):
            await writer.execute(f"CREATE SCHEMA {_VIEW_SCHEMA}")
        await writer.execute(_UNESCAPED)
        for name, statement in VIEWS.items():
            view = f"{_VIEW_SCHEMA}.{name}"
            try:
                async with writer.transaction():
                    await writer.execute(f"CREATE OR REPLACE VIEW {view} AS {statement}")
            except asyncpg.InvalidTableDefinitionError:
                # That of a newer backend has more columns.
                continue
            await writer.execute(f"GRANT SELECT ON {view} TO {role}")
        await writer.execute(f"GRANT USAGE ON SCHEMA {_VIEW_SCHEMA} TO {role}")


async def _answer(session: asyncpg.Connection, sql: str, limits: QueryLimits) -> str:
    await session.execute(
        f"SET search_path = {_VIEW_SCHEMA}; SET standard_conforming_strings = on;"
        f" SET work_mem = '16MB'; SET statement_timeout = {max(1, int(limits.seconds * 1000)):d};"
        " BEGIN READ ONLY"
    )
    bounded = _BOUNDED.format(sql=sql.rstrip().removesuffix(";"))
    statement = await session.prepare(bounded)
    columns = [attribute.name for attribute in statement.get_attributes()]
    cursor = await statement.cursor()
    rows: list[Any] = []
    size, count = 0, _PORTION
    # One more than the limit tells that there are further rows.
    while len(rows) <= limits.rows and size <= limits.size:
        portion = await cursor.fetch(min(count, limits.rows + 1 - len(rows)))
        if not portion:
            break
        rows += portion
        added = sum(len(value) for row in portion for value in row if isinstance(value, str))
        size += added
        count = min(2 * count, _LARGEST_PORTION) if added <= _SMALL_PORTION else _PORTION
    return document(columns, rows, limits)


def require_known_words(sql: str) -> None:
    """Raise `QueryRefusedError` for a call or a name that no query of the views has."""
    if _NO_TEXT.search(sql):
        raise QueryRefusedError("a query has no NUL, and no half of a character")
    # Strings in other notations, comments and parameters could hide words.
    word, is_spaced, depth = "", False, 0
    for match in _TOKEN.finditer(sql):
        text, name = match[0], (match[1] or match[2] or "").lower()
        if text.isspace():
            is_spaced = True
            continue
        depth += (text == "(") - (text == ")")
        if depth < 0:
            raise QueryRefusedError("a parenthesis is closed that was not opened")
        if text == "(" and word and word not in _CALLABLE:
            raise QueryRefusedError(f"{word} cannot be called by a query")
        is_prefix = bool(word) and not is_spaced and (text[0] in "'\"" or text == "&")
        if is_prefix or text in ("--", "/*", "$", "\\", "'", '"'):
            raise QueryRefusedError(f"a query has no {text[:2]} there")
        if name.startswith("pg_") or name in ("information_schema", SCHEMA):
            raise QueryRefusedError(f"{name} is none of the views")
        # Behind a row and a dot a function is called without parentheses.
        if "_agg" in name:
            raise QueryRefusedError(f"{name} cannot be called by a query")
        word, is_spaced = name, False

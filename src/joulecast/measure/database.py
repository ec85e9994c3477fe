"""A sqlite file that several processes share: changes whole or not at all, every trouble in one line."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from joulecast.errors import FileFormatError, InputError, MeasureError, in_short, shown
from joulecast.files.paths import shown_path

BUSY_S: Final = 60.0  # how long to wait for another process's transaction
_FACTS: Final = "create table if not exists facts (name text primary key, value text not null)"


class StoreError(MeasureError):
    """The store cannot be read or written any more: the disk is full, it is locked, damaged, or gone."""


class Database:
    """A connection to a store's file; one for each process and thread.

    Parameters
    ----------
    path : the file; it is made where there is none.
    form : what it says that it holds, in its table of facts; another file is refused.
    schema : its other tables, as statements that make them where they are missing.

    Raises
    ------
    InputError
        The file cannot be opened.
    FileFormatError
        The file is no store.
    StoreError
        The disk is full, or the file cannot be read or written; so do all of its methods.
    """

    def __init__(self, path: Path, form: str, schema: str) -> None:
        self._name = shown_path(path)
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            with contextlib.ExitStack() as unless_prepared:
                unless_prepared.callback(self._connection.close)
                self._prepare(form, f"{_FACTS};{schema}")
                unless_prepared.pop_all()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if "unable to open" in str(error):
                raise InputError(f"the store {self._name} cannot be opened; is its folder there?") from None
            if isinstance(error, sqlite3.OperationalError) or _code(error) == sqlite3.SQLITE_CORRUPT:
                raise self._unusable(error) from error
            raise FileFormatError(f"{self._name} is no campaign store ({in_short(error)})") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows that a query finds."""
        with self._telling():
            return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """Change the file; how many rows were changed."""
        with self._telling():
            return self._connection.execute(statement, values).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Whole or not at all, also when it is interrupted."""
        try:
            self.change("begin immediate")
            yield
            self.change("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:  # a full disk ends it by itself
                    self._connection.execute("rollback")
            raise

    def facts(self) -> dict[str, str]:
        """What is noted of the store as a whole."""
        return {row["name"]: row["value"] for row in self.rows("select name, value from facts")}

    def note(self, name: str, value: str) -> None:
        """Note a fact of the store as a whole."""
        with self.transaction():
            self.change("insert or replace into facts values (?, ?)", (name, value))

    def _prepare(self, form: str, schema: str) -> None:
        execute = self._connection.execute
        execute(f"pragma busy_timeout = {int(BUSY_S * 1000)}")
        for _ in range(100):  # changing to WAL needs the file alone, and does not wait for that
            try:
                execute("pragma journal_mode = wal")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(0.02)
        execute("pragma synchronous = full")
        names = {name for (name,) in execute("select name from sqlite_master")}
        if names and "facts" not in names:
            raise sqlite3.DatabaseError("its tables are not ours")
        with self.transaction():
            for statement in schema.split(";"):
                execute(statement)
            execute("insert or ignore into facts values ('format', ?)", (form,))
        (found,) = execute("select value from facts where name = 'format'").fetchone()
        if found != form:
            raise sqlite3.DatabaseError(f"its format is {shown(found)}, not {form}")

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        if _is_damage(error):
            return StoreError(
                f"the store {self._name} is damaged ({in_short(error)}); put a copy of it from before in its "
                "place, or use another file"
            )
        return StoreError(
            f"the store {self._name} cannot be used ({in_short(error)}); with room on the disk and access "
            "to the file, the same command goes on where it ended"
        )


def _is_damage(error: Exception) -> bool:
    """Whether an error says that bytes of the file are not what was written."""
    return _code(error) == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error)


def _code(error: Exception) -> int:
    """Of what kind an error of sqlite is; 0 for others."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF  # the rest says where

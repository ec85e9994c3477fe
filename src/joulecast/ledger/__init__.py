"""What a whole service used: its logs of requests, predicted in columns and added up with their error."""

from joulecast.errors import MissingExtraError

try:
    import polars as _polars
except ImportError:
    raise MissingExtraError("ledger", "a ledger") from None

del _polars

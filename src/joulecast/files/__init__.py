"""The ground floor: paths and writing whole or not at all, tables, columns, TOML, checksummed JSON."""

"""Footprints of tables: rows, columns and files."""

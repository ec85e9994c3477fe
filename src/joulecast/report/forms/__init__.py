"""Forms that others publish and ask to be filled in; each is of one row of a table."""

"""A law's answer to a user's question: one workload (`estimate`), or a table of them (`predict`)."""

"""The HTTP API and the page: wrappers of what the rooms below answer; needs the extra `web`.

Nothing here fills a default of a question: bodies become the records of the rooms below, and those ask.
"""

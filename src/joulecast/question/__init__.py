"""What is asked: every key of a request, its defaults, names and numbers as people type them."""

"""Words and pictures of how well laws do."""

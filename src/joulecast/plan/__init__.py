"""Choices under limits: which configuration, GPU, region and hour meets a demand at the least of what."""

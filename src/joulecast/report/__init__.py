"""Presentation: plain text for people. Nothing is computed here but the unit a number is shown in."""

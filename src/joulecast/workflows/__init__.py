"""Workflows of ComfyUI: what a graph of nodes asks for, and what that takes.

A file becomes a graph (`reading`, `ui`, `graph`), the graph is followed once from its loaders to what it
saves (`flow`, by the table of node classes in `classes`), every sampler that is met becomes a question as any
other (`asking`), and the answers are summed (`estimate`).
"""

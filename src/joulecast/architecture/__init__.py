"""WHAT is run: the workload, the catalogue of models, and the pipelines built from their configs."""

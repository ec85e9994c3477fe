"""HOW a run is obtained: meters, the protocol of a measurement, real pipelines, campaigns."""

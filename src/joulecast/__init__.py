"""joulecast: the energy, time and carbon of an AI-generated image, before it is generated."""

__version__ = "0.1.0"

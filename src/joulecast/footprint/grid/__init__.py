"""Carbon intensity of grids: yearly, hourly and live, and the times they are asked for."""

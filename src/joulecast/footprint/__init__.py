"""From the energy of a GPU to carbon, water and money: small functions, every factor with its source."""

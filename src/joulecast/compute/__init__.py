"""HOW MUCH arithmetic: operators traced from real modules, and profiles that evaluate them."""

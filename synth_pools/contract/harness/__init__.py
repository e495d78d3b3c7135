"""Tools that scenarios are written with, and the executor that runs them."""

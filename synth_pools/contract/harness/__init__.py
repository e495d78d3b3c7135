"""The parts that scenarios are written with, and that run them."""

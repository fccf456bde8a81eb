"""A house of ddsim."""

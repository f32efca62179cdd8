"""The daemon as a whole, as it is looked at: what it has done, what is measured of it, whether it is ready."""

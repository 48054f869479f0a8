"""Rasters on disk: safe opening, windowed reading with validity, part files, COGs, xarray views."""

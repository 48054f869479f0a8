"""Sliding-window prediction over rasters of any size."""

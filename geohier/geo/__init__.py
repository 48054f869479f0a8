"""Pure geometry: windows, tiles, levels, bands and ground sample distance. Reads no file."""

"""Parts of the hierarchy: pyramid in, pyramid out, and what they used for it."""

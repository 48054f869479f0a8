"""Scenes, their labels, and the chips that training draws from them."""

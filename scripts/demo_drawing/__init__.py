"""Draws furniture for the demo catalogue: small 3-D models, lit and rendered with numpy and Pillow."""

from .scene import CATEGORIES, SIZE, draw, model

__all__ = ["CATEGORIES", "SIZE", "draw", "model"]

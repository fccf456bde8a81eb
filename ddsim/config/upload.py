"""What is done to pictures before they are sent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ddsim.config.part import Part
from ddsim.config.values import Size
from ddsim.pictures import Upload


class UploadSettings(Part):
    """What is done to pictures before they are sent."""

    shrink: bool = True
    """Whether pictures are shrunk to the network's input before they are sent."""
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """JPEG quality of what is sent."""
    max_pixels: Annotated[int, Field(ge=1)] = Upload().max_pixels
    """Pictures of which more would be decoded are refused; shrunk JPEGs are decoded at down to an eighth of their
    sides."""
    max_bytes: Annotated[Size, Field(ge=1)] = Upload().max_bytes
    """Files with more are refused before they are read."""

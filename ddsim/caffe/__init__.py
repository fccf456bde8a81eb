"""Caffe's files: definitions (``deploy.prototxt``) and weights (``.caffemodel``), read and written.

Nothing here runs a network; nothing but NumPy is needed.
"""

from ddsim.caffe.caffemodel import (
    BlobError,
    Shape,
    Weights,
    add_weights,
    read_blob,
    read_shapes,
    read_weights,
    write_weights,
)
from ddsim.caffe.definition import Definition, read_definition
from ddsim.caffe.prototxt import Message, PrototxtError, parse, quoted, to_text
from ddsim.caffe.shapes import LayerShape, layer_shapes
from ddsim.caffe.upgrade import upgraded

__all__ = [
    "BlobError",
    "Definition",
    "LayerShape",
    "Message",
    "PrototxtError",
    "Shape",
    "Weights",
    "add_weights",
    "layer_shapes",
    "parse",
    "quoted",
    "read_blob",
    "read_definition",
    "read_shapes",
    "read_weights",
    "to_text",
    "upgraded",
    "write_weights",
]

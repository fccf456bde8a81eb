"""Caffe's files: definitions (``deploy.prototxt``) and weights (``.caffemodel``), read and written.

Nothing here runs a network; nothing but NumPy is needed.
"""

from ddsim.caffe.caffemodel import (
    BlobError,
    Shape,
    Weights,
    add_weights,
    half_precision,
    read_blob,
    read_shapes,
    read_weights,
    write_weights,
)
from ddsim.caffe.definition import Definition, read_definition
from ddsim.caffe.labels import Labels, LabelsError, read_labels
from ddsim.caffe.prototxt import Message, PrototxtError, parse, quoted, to_text
from ddsim.caffe.recognise import what_else
from ddsim.caffe.serving import Served, check_served, for_server
from ddsim.caffe.shapes import LayerShape, layer_shapes
from ddsim.caffe.upgrade import upgraded

__all__ = [
    "BlobError",
    "Definition",
    "Labels",
    "LabelsError",
    "LayerShape",
    "Message",
    "PrototxtError",
    "Served",
    "Shape",
    "Weights",
    "add_weights",
    "check_served",
    "for_server",
    "half_precision",
    "layer_shapes",
    "parse",
    "quoted",
    "read_blob",
    "read_definition",
    "read_labels",
    "read_shapes",
    "read_weights",
    "to_text",
    "upgraded",
    "what_else",
    "write_weights",
]

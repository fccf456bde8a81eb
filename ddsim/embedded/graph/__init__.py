"""A Caffe network as an ONNX graph.

One file for each family of layer kinds, a function for each kind: it takes the layer, what it takes, and the builder,
adds nodes, and returns what the layer gives. ONNX Runtime knows nothing of Caffe.
"""

from ddsim.embedded.graph.layer import GraphError
from ddsim.embedded.graph.network import Graph, Model

__all__ = ["Graph", "GraphError", "Model"]

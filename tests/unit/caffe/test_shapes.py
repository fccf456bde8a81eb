"""Layers' shapes, worked out without running a network."""

from __future__ import annotations

from ddsim.caffe import layer_shapes, read_definition

HEAD = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
        memory_data_param { batch_size: 1 channels: 2 height: %d width: %d } }
layer { name: "relu" type: "ReLU" bottom: "data" top: "map" }
"""


def test_shapes_follow_caffes_rules() -> None:
    """Pooling rounds up and drops a window that begins in the padding behind; what is unknown stays so."""
    text = (
        HEAD % (10, 7)
        + """
        layer { name: "c" type: "Convolution" bottom: "map" top: "c"
                convolution_param { num_output: 4 kernel_h: 3 kernel_w: 1 stride: 2 pad_h: 1 } }
        layer { name: "up" type: "Pooling" bottom: "map" top: "up" pooling_param { kernel_size: 2 stride: 2 } }
        layer { name: "padded" type: "Pooling" bottom: "map" top: "padded"
                pooling_param { kernel_size: 2 stride: 2 pad: 1 } }
        layer { name: "wide" type: "Deconvolution" bottom: "up" top: "wide"
                convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 } }
        layer { name: "both" type: "Concat" bottom: "up" bottom: "up" top: "both" }
        layer { name: "flat" type: "Flatten" bottom: "both" top: "flat" }
        layer { name: "turned" type: "Reshape" bottom: "flat" top: "turned"
                reshape_param { shape { dim: 0 dim: -1 dim: 5 } } }
        layer { name: "odd" type: "Python" bottom: "up" top: "odd" }
        layer { name: "behind" type: "ReLU" bottom: "odd" top: "odd" }
        layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc" inner_product_param { num_output: 6 } }
        """
    )
    shapes = {one.name: one.shape for one in layer_shapes(read_definition(text))}
    assert shapes == {
        "data": (2, 10, 7),
        "relu": (2, 10, 7),
        "c": (4, 5, 4),
        "up": (2, 5, 4),
        "padded": (2, 6, 4),
        "wide": (3, 10, 8),
        "both": (4, 5, 4),
        "flat": (80,),
        "turned": (16, 5),
        "odd": None,
        "behind": None,
        "fc": (6,),
    }

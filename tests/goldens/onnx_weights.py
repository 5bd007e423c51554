"""A graph of constants that ONNX's operations unpack, and the values that onnxruntime computes from them.

A product with the identity tells a packed matrix. Names: see README.md.
"""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
K, N = 256, 4
OUTSIDE = "onnx_weights.onnx.data"


class Graph:
    def __init__(self):
        self.rng = np.random.default_rng(23)
        self.nodes, self.constants, self.outputs = [], [], []

    def constant(self, name, values, kind=None, shape=None):
        """`kind` and `shape` where `values` are the bytes of something else."""
        if kind is None:
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        else:
            self.constants.append(helper.make_tensor(name, kind, shape, values.tobytes(), raw=True))
        return name

    def scales(self, shape, wide=False):
        """Of few bits, so that products with codes do not round; or of all that a float has."""
        values = self.rng.uniform(0.01, 0.02, shape) * self.rng.choice([-1, 1], shape)
        return values.astype(np.float32) if wide else values.astype(np.float16).astype(np.float32)

    def node(self, operation, name, inputs, kind=TensorProto.FLOAT, **attributes):
        domain = "com.microsoft" if operation == "MatMulNBits" else ""
        self.nodes.append(helper.make_node(operation, inputs, [f"{name}.out"], name=name, domain=domain, **attributes))
        self.outputs.append(helper.make_tensor_value_info(f"{name}.out", kind, None))

    def matmul(self, name, bits, block, zeros, wide=False):
        groups = K // block
        inputs = ["x", self.constant(name, self.rng.integers(0, 256, (N, groups, block * bits // 8), dtype=np.uint8)),
                  self.constant(f"{name}.scales", self.scales((N, groups), wide))]
        if zeros:
            packed = self.rng.integers(0, 256, (N, -(-groups * bits // 8)), dtype=np.uint8)
            inputs.append(self.constant(f"{name}.zeros", packed))
        self.node("MatMulNBits", name, inputs, K=K, N=N, bits=bits, block_size=block)

    def dequantize(self, name, dtype, shape, scales, zeros=True, half=False, **attributes):
        def numbers(shape):
            if not dtype.endswith("4"):
                info = np.iinfo(dtype)
                return self.rng.integers(max(info.min, -9999), min(info.max, 9999) + 1, shape).astype(dtype), {}
            nibbles = self.rng.integers(0, 256, -(-int(np.prod(shape)) // 2), dtype=np.uint8)
            return nibbles, {"kind": getattr(TensorProto, dtype.upper()), "shape": shape}

        values, kind = numbers(shape)
        floats = self.scales(scales).astype(np.float16 if half else np.float32)
        inputs = [self.constant(name, values, **kind), self.constant(f"{name}.scales", floats)]
        if zeros is None:
            inputs.append(self.constant(f"{name}.zeros", np.zeros(scales, dtype=dtype)))
        elif zeros:
            values, kind = numbers(scales)
            inputs.append(self.constant(f"{name}.zeros", values, **kind))
        made = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.node("DequantizeLinear", name, inputs, made, **attributes)


def build():
    graph = Graph()
    graph.matmul("nbits4", 4, 32, zeros=False)
    graph.matmul("nbits4_zeros", 4, 128, zeros=True)
    graph.matmul("nbits4_row", 4, 256, zeros=True)
    graph.matmul("nbits4_wide", 4, 64, zeros=False, wide=True)
    graph.matmul("nbits8", 8, 64, zeros=False)
    graph.matmul("nbits8_zeros", 8, 32, zeros=True)
    graph.matmul("nbits2_zeros", 2, 64, zeros=True)
    graph.matmul("nbits4_small", 4, 16, zeros=False)
    graph.dequantize("int8", "int8", (N, K), (), zeros=None)
    graph.dequantize("int8_rows", "int8", (N, K), (N,), zeros=False, axis=0)
    graph.dequantize("int8_zeros", "int8", (N, K), (), zeros=True)
    graph.dequantize("uint8_columns", "uint8", (K, N), (N,), zeros=True, axis=1)
    graph.dequantize("int8_columns", "int8", (K, N), (N,), zeros=None, axis=-1)
    graph.dequantize("int4_blocks", "int4", (N, 64), (N, 2), zeros=False, axis=1, block_size=32)
    graph.dequantize("uint4_blocks", "uint4", (64, N), (2, N), zeros=True, axis=0, block_size=32)
    graph.dequantize("int4_half", "int4", (N, 64), (N, 2), zeros=False, half=True, axis=1, block_size=32)
    graph.dequantize("uint4_rows", "uint4", (N, 64), (N,), zeros=True, axis=0)
    # What no packed format has.
    graph.dequantize("conv", "int8", (4, 2, 3, 3), (4,), zeros=True, axis=0)
    graph.dequantize("bias", "int32", (6,), (), zeros=False)
    graph.dequantize("uint16_short", "uint16", (3, 10), (10,), zeros=True)
    graph.dequantize("int4_short", "int4", (6, 5), (3, 5), zeros=True, axis=0, block_size=2)
    dense = graph.rng.standard_normal((3, 5), dtype=np.float32)
    graph.constant("dense", dense)
    graph.constant("half", dense.astype(np.float16))
    graph.constant("brain", dense.astype(ml_dtypes.bfloat16))
    graph.constant("one", np.int64(7))
    graph.nodes.append(helper.make_node("Constant", [], ["inner"], value=numpy_helper.from_array(dense[0], "any")))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [K, K])
    made = helper.make_graph(graph.nodes, "weights", [x], graph.outputs, graph.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10), dense


def main():
    model, dense = build()
    (HERE / OUTSIDE).unlink(missing_ok=True)
    outside = onnx.ModelProto()
    outside.CopyFrom(model)
    onnx.save(model, HERE / "onnx_weights.onnx")
    for i, constant in reversed(list(enumerate(outside.graph.initializer))):  # some of them do
        if constant.name not in ("nbits4", "nbits4.scales", "dense"):
            del outside.graph.initializer[i]
    kept = {c.name for c in outside.graph.initializer} | {"x"}
    nodes = [n for n in outside.graph.node if set(n.input) <= kept and n.input]
    del outside.graph.node[:], outside.graph.output[:]
    outside.graph.node.extend(nodes)
    outside.graph.output.extend([helper.make_tensor_value_info("nbits4.out", TensorProto.FLOAT, None)])
    onnx.save(outside, HERE / "onnx_weights_outside.onnx", save_as_external_data=True, location=OUTSIDE,
              size_threshold=0)

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(HERE / "onnx_weights.onnx", options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    values = dict(zip(names, session.run(names, {"x": np.eye(K, dtype=np.float32)})))
    out = {n.removesuffix(".out"): v.T if n.startswith("nbits") else v for n, v in values.items()}
    save_tensors(HERE / "onnx_weights.safetensors", out | {"dense": dense})
    for file in sorted(HERE.glob("onnx_weights*.onnx*")):
        print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
    record_versions(__file__, "onnx", "onnxruntime", "ml_dtypes", "numpy")

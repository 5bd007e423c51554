"""Graphs inside a graph, whose constants ONNX's operations unpack, and what onnxruntime computes from them.

Both branches of an If have a matrix called `w`; one of them also unpacks what the graph around it has, and has a branch
of its own. Files: see README.md.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from golden_io import record_versions, save_tensors
from onnx_weights import K, N, Graph

HERE = Path(__file__).resolve().parent


def branch(graph, name, output):
    """`output` is the value that the branch gives."""
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(graph.nodes, name, [], [value], graph.constants)


def choose(graph, output, then_branch, else_branch):
    graph.nodes.append(helper.make_node("If", ["yes"], [output], then_branch=then_branch, else_branch=else_branch))


def inside(rng):
    graph = Graph()
    graph.rng = rng
    return graph


def build():
    whole = Graph()
    rng = whole.rng
    whole.constant("shared", rng.integers(0, 256, (N, K // 32, 16), dtype=np.uint8))
    whole.constant("shared.scales", whole.scales((N, K // 32)))

    first = inside(rng)
    first.matmul("w", 4, 32, zeros=True)

    deep, other = inside(rng), inside(rng)
    other.nodes.append(helper.make_node("Constant", [], ["flat"], value=numpy_helper.from_array(
        rng.standard_normal((K, N), dtype=np.float32), "any")))
    deep.dequantize("d", "int8", (K, N), (N,), zeros=True, axis=1)

    second = inside(rng)
    second.matmul("w", 8, 64, zeros=False)
    second.node("MatMulNBits", "of_shared", ["x", "shared", "shared.scales"], K=K, N=N, bits=4, block_size=32)
    choose(second, "chosen", branch(other, "other", "flat"), branch(deep, "deep", "d.out"))
    second.nodes.append(helper.make_node("Concat", ["w.out", "of_shared.out", "chosen"], ["all"], axis=1))

    choose(whole, "y", branch(first, "first", "w.out"), branch(second, "second", "all"))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [K, K]),
              helper.make_tensor_value_info("yes", TensorProto.BOOL, [])]
    made = helper.make_graph(whole.nodes, "graphs", inputs,
                             [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], whole.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    flat = numpy_helper.to_array(other.nodes[0].attribute[0].t)
    return helper.make_model(made, opset_imports=opsets, ir_version=10), flat


def main():
    model, flat = build()
    onnx.save(model, HERE / "onnx_graphs.onnx")
    session = onnxruntime.InferenceSession(HERE / "onnx_graphs.onnx", providers=["CPUExecutionProvider"])
    identity = np.eye(K, dtype=np.float32)
    first = session.run(["y"], {"x": identity, "yes": np.array(True)})[0]
    w, shared, d = np.split(session.run(["y"], {"x": identity, "yes": np.array(False)})[0], 3, axis=1)
    save_tensors(HERE / "onnx_graphs.safetensors", {
        "shared": shared.T.copy(), "y/then_branch/w": first.T.copy(), "y/else_branch/w": w.T.copy(),
        "y/else_branch/chosen/then_branch/flat": flat, "y/else_branch/chosen/else_branch/d": d})


if __name__ == "__main__":
    main()
    record_versions(__file__, "onnx", "onnxruntime", "numpy")

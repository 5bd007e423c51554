"""onnxruntime: MatMulNBits, 4-bit weights in blocks of 32 or 128 with 8-bit activations (accuracy level 4)."""

import measuring

try:
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    measuring.missing(error)

BLOCKS = {"int4-b32": 32, "int4-b128": 128}


def model(args, block, seed):
    draw = np.random.default_rng(seed)
    blocks = args.k // block
    codes = draw.integers(0, 256, (args.n, blocks, block // 2), np.uint8)
    scales = draw.standard_normal(args.n * blocks).astype(np.float32)
    node = helper.make_node("MatMulNBits", ["x", "codes", "scales"], ["y"], domain="com.microsoft", K=args.k, N=args.n, bits=4,
                            block_size=block, accuracy_level=4)
    graph = helper.make_graph([node], "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", args.k])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", args.n])],
                              [numpy_helper.from_array(codes, "codes"), numpy_helper.from_array(scales, "scales")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def main():
    args = measuring.options(",".join(BLOCKS))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    results = []
    for name in args.formats:
        if name not in BLOCKS:
            continue
        weight_bytes = args.n * args.k // 2 + 4 * args.n * args.k // BLOCKS[name]
        sessions = [onnxruntime.InferenceSession(model(args, BLOCKS[name], seed), options, ["CPUExecutionProvider"])
                    for seed in range(measuring.copies_for(weight_bytes))]
        for rows in args.rows:
            x = {"x": np.random.default_rng(1).standard_normal((rows, args.k), np.float32)}
            results.append(measuring.product("onnxruntime", args, name, rows, weight_bytes,
                                             lambda turn: sessions[turn % len(sessions)].run(None, x)))
    measuring.finish("onnxruntime", onnxruntime.__version__, results)


if __name__ == "__main__":
    main()

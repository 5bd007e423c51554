"""Goldens of GGUF types as ggml itself packs them, and the values that the `gguf` package decodes (of Q8_K, ggml).

usage: ggml_blocks.py LIBGGML_BASE    (llama_cpp/lib/libggml-base.so of llama-cpp-python)

Names: see README.md.
"""

import ctypes
import sys
from pathlib import Path

import gguf
import numpy as np

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
Type = gguf.GGMLQuantizationType
TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S",
         "IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "TQ1_0", "TQ2_0")
IMPORTANCE_NEEDED = (Type.IQ1_S, Type.IQ1_M, Type.IQ2_XXS, Type.IQ2_XS)
POINTER = ctypes.c_void_p


def hard_weight(rng) -> np.ndarray:
    """(4, 512): two blocks of 256 a row."""
    w = rng.standard_normal((4, 512)).astype(np.float32)
    w[2, :64] = 0.0
    w[2, 64:128] = 0.7357                   # constant
    w[2, 128:192] = np.abs(w[2, 128:192])   # one sign only
    w[2, 192:256] = -np.abs(w[2, 192:256]) - 0.5
    w[2, 300] = 90.0                        # one outlier
    w[3, :256] *= 0.02
    w[3, 256:] *= np.repeat(2.0 ** rng.integers(-4, 4, 16), 16)  # groups of very different size
    return w


def quantize(library, weight: np.ndarray, kind: Type) -> np.ndarray:
    rows, length = weight.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros((rows, length // block * size), dtype=np.uint8)
    if kind == Type.Q8_K:
        library.quantize_row_q8_K_ref(POINTER(weight.ctypes.data), POINTER(out.ctypes.data), ctypes.c_int64(weight.size))
        return out
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, POINTER, POINTER, *[ctypes.c_int64] * 3, POINTER]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    importance = np.ones(length, dtype=np.float32)
    every = importance.ctypes.data if kind in IMPORTANCE_NEEDED else None
    written = library.ggml_quantize_chunk(int(kind), weight.ctypes.data, out.ctypes.data, 0, rows, length, every)
    assert written == out.nbytes
    return out


def dequantize(library, blocks: np.ndarray, kind: Type) -> np.ndarray:
    if kind != Type.Q8_K:
        return gguf.quants.dequantize(blocks, kind)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.zeros((len(blocks), blocks.shape[1] // size * block), dtype=np.float32)
    library.dequantize_row_q8_K(POINTER(blocks.ctypes.data), POINTER(out.ctypes.data), ctypes.c_int64(out.size))
    return out


def random_blocks(library, rng, kind: Type) -> np.ndarray:
    """(3, bytes of 512 weights) whose bits are any, but for scales that are not finite or near that."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = []
    while len(rows) < 3 * 512 // block:
        row = rng.integers(0, 256, (1, size), dtype=np.uint8)
        with np.errstate(all="ignore"):
            if (np.abs(dequantize(library, row, kind)) < 1e30).all():
                rows.append(row)
    return np.concatenate(rows).reshape(3, -1)


def write_gguf(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The blocks of each type as a tensor of that type and name."""
    writer = gguf.GGUFWriter(path, "llama")
    for name in TYPES:
        writer.add_tensor(name.lower(), tensors[f"{name.lower()}.blocks"], raw_dtype=Type[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.name}: {path.stat().st_size} bytes")


def main():
    library = ctypes.CDLL(sys.argv[1])
    weight = hard_weight(np.random.default_rng(3))
    out = {"weight": weight}
    for name in TYPES:
        kind, key = Type[name], name.lower()
        out[f"{key}.blocks"] = quantize(library, weight, kind)
        out[f"{key}.values"] = dequantize(library, out[f"{key}.blocks"], kind)
        out[f"{key}.random.blocks"] = random_blocks(library, np.random.default_rng(int(kind)), kind)
        out[f"{key}.random.values"] = dequantize(library, out[f"{key}.random.blocks"], kind)
    save_tensors(HERE / "ggml_blocks.safetensors", out)
    write_gguf(HERE / "ggml_blocks.gguf", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "gguf", "numpy", "safetensors")

"""Goldens of GGUF's 32-weight block types: the bytes and the decoded values that the `gguf` package itself makes.

Names: see README.md.
"""

from pathlib import Path

import gguf
import numpy as np

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def hard_weight(rng) -> np.ndarray:
    """(6, 128): four blocks a row."""
    w = rng.standard_normal((6, 128)).astype(np.float32)
    w[1, :32] = 0.0
    w[1, 32:64] = -0.0
    w[1, 64:96] = 0.7357                    # constant
    w[2, :64] = np.abs(w[2, :64])           # one sign only
    w[2, 64:] = -np.abs(w[2, 64:]) - 0.5
    w[3, 5] = 900.0                         # one outlier
    w[4] *= 1e-5                            # f16 scales become subnormal, their rounding is felt
    w[5, :64] *= 10000.0                    # large, still within f16
    return w


def main():
    weight = hard_weight(np.random.default_rng(2))
    out = {"weight": weight}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = gguf.quants.quantize(weight, kind)
        out[f"{name.lower()}.blocks"] = blocks
        out[f"{name.lower()}.values"] = gguf.quants.dequantize(blocks, kind)
    save_tensors(HERE / "gguf_blocks.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "gguf", "numpy", "safetensors")

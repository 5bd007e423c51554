"""Experts as gpt-oss stores them, of random bits, and the values that transformers' own code decodes them to.

Names: see README.md.
"""

from pathlib import Path

import numpy as np
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from golden_io import record_versions, save_tensors

HERE = Path(__file__).resolve().parent
EXPERTS, HIDDEN, INTERMEDIATE = 2, 64, 32


def main():
    rng = np.random.default_rng(17)
    out = {}
    for name, rows, inputs in (("gate_up_proj", 2 * INTERMEDIATE, HIDDEN), ("down_proj", HIDDEN, INTERMEDIATE)):
        blocks = rng.integers(0, 256, (EXPERTS, rows, inputs // 32, 16), dtype=np.uint8)
        scales = rng.integers(1, 250, (EXPERTS, rows, inputs // 32), dtype=np.uint8)  # 255 is no number
        values = convert_moe_packed_tensors(torch.from_numpy(blocks), torch.from_numpy(scales), dtype=torch.float32)
        layer = f"model.layers.0.mlp.experts.{name}"
        out |= {f"{layer}_blocks": blocks, f"{layer}_scales": scales,
                f"{layer}_bias": rng.standard_normal((EXPERTS, rows), dtype=np.float32),
                f"{name}.values": values.transpose(1, 2).contiguous().numpy()}
    save_tensors(HERE / "gpt_oss_experts.safetensors", out)


if __name__ == "__main__":
    main()
    record_versions(__file__, "transformers", "torch", "numpy")

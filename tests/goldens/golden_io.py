"""What every golden script shares: saving tensors, and recording the versions that made them."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save


def save_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes a safetensors file; the same tensors give the same bytes."""
    path.write_bytes(save({name: np.ascontiguousarray(t) for name, t in tensors.items()}))
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def save_json(path: Path, value, indent: int | None = 1) -> None:
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes")


def record_versions(script: str, *packages: str) -> None:
    """Notes in VERSIONS.json, beside the script, what the data was made with."""
    path = Path(script).with_name("VERSIONS.json")
    known = json.loads(path.read_text()) if path.exists() else {}
    known[Path(script).name] = {"python": platform.python_version()} | {p: version(p) for p in packages}
    print(Path(script).name, known[Path(script).name])
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")

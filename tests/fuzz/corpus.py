"""Makes corpus/, the inputs that fuzzing begins with: small ones, cut out of the test models and goldens.

What makes an input of several files is told in readers.cpp: each but the last ends with a zero byte.
usage: corpus.py
"""

import json
import math
import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
GOLDENS = HERE.parent / "goldens"
MODELS = HERE.parent / "models"


def add(reader, name, *parts):
    """One input, of texts (or values that become JSON) and at last bytes."""
    data = b"\0".join(p if isinstance(p, bytes) else (p if isinstance(p, str) else json.dumps(p)).encode() for p in parts)
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(data)


# ---- safetensors ----------------------------------------------------------------------------------------------------


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}"""
    file = path.read_bytes()
    length = struct.unpack_from("<Q", file)[0]
    header = json.loads(file[8 : 8 + length])
    header.pop("__metadata__", None)
    data = file[8 + length :]
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def safetensors(tensors, metadata=None):
    """The header's JSON and the data."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    return json.dumps(header, separators=(",", ":")), data


def whole(header, data):
    return struct.pack("<Q", len(header)) + header.encode() + data


def cut(tensor, most):
    """No axis longer than `most`; the bytes are the first ones, whichever they are."""
    dtype, shape, values = tensor
    smaller = [min(size, most) for size in shape]
    return dtype, smaller, values[: len(values) * math.prod(smaller) // max(1, math.prod(shape))]


def add_safetensors():
    stored = read_safetensors(GOLDENS / "stored_floats.safetensors")
    add("safetensors", "floats", whole(*safetensors({n: cut(t, 4) for n, t in stored.items()}, {"format": "pt"})))
    model = read_safetensors(MODELS / "llama" / "model.safetensors")
    add("safetensors", "model", whole(*safetensors({n: cut(t, 2) for n, t in list(model.items())[:9]})))
    kinds = {n: (d, [2], bytes(2 * size)) for n, d, size in
             [("a", "F64", 8), ("b", "I64", 8), ("c", "F16", 2), ("d", "U8", 1), ("e", "BOOL", 1), ("f", "F8_E5M2", 1)]}
    add("safetensors", "dtypes", whole(*safetensors(kinds | {"empty": ("F32", [0, 3], b""), "one": ("U32", [], bytes(4))})))


# ---- GGUF -----------------------------------------------------------------------------------------------------------

SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9


class Gguf:
    """Metadata as [key, type, element type, values], tensors as [name, dimensions, type, offset]."""

    def __init__(self, path):
        self.file, self.at = path.read_bytes(), 4
        self.version, tensors, pairs = self.take("I"), self.take("Q"), self.take("Q")
        self.pairs = [self.pair() for _ in range(pairs)]
        self.tensors = [
            [self.text(), [self.take("Q") for _ in range(self.take("I"))], self.take("I"), self.take("Q")]
            for _ in range(tensors)
        ]
        self.data = (self.at + 31) // 32 * 32

    def take(self, kind):
        value = struct.unpack_from("<" + kind, self.file, self.at)[0]
        self.at += struct.calcsize(kind)
        return value

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.file[self.at - length : self.at]

    def value(self, kind):
        return self.text() if kind == TEXT else self.take(SIZES[kind])

    def pair(self):
        key, kind = self.text(), self.take("I")
        if kind != ARRAY:
            return [key, kind, None, self.value(kind)]
        element, count = self.take("I"), self.take("Q")
        return [key, kind, element, [self.value(element) for _ in range(count)]]

    def bytes_of(self, i):
        ends = sorted({t[3] for t in self.tensors} | {len(self.file) - self.data})
        begin = self.tensors[i][3]
        return self.file[self.data + begin : self.data + ends[ends.index(begin) + 1]]


def gguf(version, pairs, tensors):
    """`tensors` are (name, dimensions, type, bytes)."""

    def text(value):
        return struct.pack("<Q", len(value)) + value

    def value(kind, v):
        return text(v) if kind == TEXT else struct.pack("<" + SIZES[kind], v)

    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, element, v in pairs:
        out += text(key) + struct.pack("<I", kind)
        if kind != ARRAY:
            out += value(kind, v)
        else:
            out += struct.pack("<IQ", element, len(v)) + b"".join(value(element, e) for e in v)
    data = b""
    for name, dimensions, kind, values in tensors:
        out += text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, len(data))
        data += values + bytes(-len(values) % 32)
    return out + bytes(-len(out) % 32) + data


def cut_gguf(path, rows, tokens, names=lambda name: True):
    """The first rows of each tensor, and lists no longer than `tokens`; merges go, which would name lost tokens."""
    file = Gguf(path)
    pairs = [[k, t, e, v[:tokens] if t == ARRAY else v] for k, t, e, v in file.pairs if b"merges" not in k]
    tensors = []
    for i, (name, dimensions, kind, _) in enumerate(file.tensors):
        kept = dimensions[:1] + [min(d, rows) for d in dimensions[1:]]
        size = len(file.bytes_of(i)) * math.prod(kept) // math.prod(dimensions)
        if names(name):
            tensors.append((name, kept, kind, file.bytes_of(i)[:size]))
    return gguf(file.version, pairs, tensors)


def add_gguf():
    add("gguf", "blocks", cut_gguf(GOLDENS / "ggml_blocks.gguf", 1, 0))
    add("gguf", "unsupported", (GOLDENS / "unsupported_q8_1.gguf").read_bytes())
    first_layer = lambda name: not name.startswith(b"blk.1")
    add("gguf", "llama", cut_gguf(GOLDENS / "tiny_llama.gguf", 4, 300, first_layer))
    add("gguf", "llama3_rope", cut_gguf(GOLDENS / "tiny_llama3_rope.gguf", 4, 8, lambda name: b"rope" in name or b"attn_q" in name))
    add("gguf", "qwen2", cut_gguf(GOLDENS / "tiny_qwen2.gguf", 1, 280, lambda name: b"bias" in name))
    # A byte-level vocabulary with merges.
    pairs = [[b"general.architecture", TEXT, None, b"qwen2"], [b"tokenizer.ggml.model", TEXT, None, b"gpt2"],
             [b"tokenizer.ggml.pre", TEXT, None, b"qwen2"],
             [b"tokenizer.ggml.tokens", ARRAY, TEXT, [b"a", b"b", b"ab", "Ġ".encode(), "Ġab".encode(), b"<|im_end|>"]],
             [b"tokenizer.ggml.token_type", ARRAY, 5, [1, 1, 1, 1, 1, 3]],
             [b"tokenizer.ggml.merges", ARRAY, TEXT, [b"a b", "Ġ ab".encode()]],
             [b"tokenizer.ggml.eos_token_id", 4, None, 5]]
    add("gguf", "merges", gguf(3, pairs, []))


# ---- folders --------------------------------------------------------------------------------------------------------


def add_gguf_parts():
    """Of a model in three files the first two, cut."""
    parts = []
    for no in range(2):
        file = Gguf(GOLDENS / f"tiny_qwen3moe-0000{no + 1}-of-00003.gguf")
        split = [[b"split.no", 2, None, no], [b"split.count", 2, None, 2], [b"split.tensors.count", 5, None, 6]]
        pairs = [[k, t, e, v[:40] if t == ARRAY else v] for k, t, e, v in file.pairs if b"split." not in k and b"merges" not in k]
        tensors = []
        for i, (name, dimensions, kind, _) in enumerate(file.tensors[:3]):
            kept = dimensions[:1] + [min(d, 2) for d in dimensions[1:]]
            size = len(file.bytes_of(i)) * math.prod(kept) // math.prod(dimensions)
            tensors.append((name, kept, kind, file.bytes_of(i)[:size]))
        parts.append(gguf(file.version, pairs + split, tensors))
    add("gguf_parts", "two", struct.pack("<I", len(parts[0])) + parts[0] + parts[1])


def add_config():
    generation = json.loads((MODELS / "qwen2" / "generation_config.json").read_text())
    for path in sorted(MODELS.glob("*/config*.json")):
        if path.parent.name in ("llama", "mistral", "qwen2", "qwen2_moe", "qwen3_moe_mlx"):
            add("config", f"{path.parent.name}_{path.stem}", json.loads(path.read_text()), generation)


def add_folders():
    layers, tensors = {}, {}
    for goldens in ("packed_layers", "gptq_act_order"):
        layers |= json.loads((GOLDENS / f"{goldens}.json").read_text())
        tensors |= read_safetensors(GOLDENS / f"{goldens}.safetensors")
    for layer, settings in layers.items():
        parts = {n.replace(layer, "l", 1): t for n, t in tensors.items() if n.startswith(layer + ".") and not n.endswith(".values")}
        if sum(len(t[2]) for t in parts.values()) > 5500 and layer != "compressed_fp8":  # one of the large ones
            continue
        packed = safetensors(parts)
        add("folder", layer, {"model_type": "llama", "quantization_config": settings}, *packed)
        if layer == "gptq3":
            add("packers_own_file", layer, {k: v for k, v in settings.items() if k != "quant_method"}, *packed)
        if layer == "awq":
            add("packers_own_file", layer, {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}, *packed)

    experts = read_safetensors(GOLDENS / "gpt_oss_experts.safetensors")
    small = {n: (d, [1, 2] + s[2:], v[: len(v) * 2 // math.prod(s[:2])]) for n, (d, s, v) in experts.items() if "down_proj_" in n}
    add("folder", "gpt_oss", {"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}}, *safetensors(small))

    for model, kept in (("qwen2_mlx", "layers.0.self_attn"), ("qwen3_moe_mlx", "layers.1.mlp.gate")):
        path = MODELS / model
        tensors = {n: t for n, t in read_safetensors(path / "model.safetensors").items() if kept in n}
        small = {n: (d, [min(s[0], 4)] + s[1:], v[: len(v) * min(s[0], 4) // s[0]]) for n, (d, s, v) in tensors.items()}
        add("folder", model, json.loads((path / "config.json").read_text()), *safetensors(small))
    mlx = read_safetensors(GOLDENS / "mlx_fp.safetensors")
    for mode in ("mxfp4", "nvfp4_global"):
        parts = {"l.weight" if n.endswith(".codes") else f"l.{n.split('.')[-1].replace('global_scale', 'global_scale')}": t
                 for n, t in mlx.items() if n.startswith(mode + ".") and n.count(".") == 1 and not n.endswith("values")}
        add("folder", mode, {"model_type": "llama", "quantization": {"mode": mode.split("_")[0], "bits": 4, "group_size": 16 if "nv" in mode else 32}},
            *safetensors(parts))

    experts = {f"model.layers.0.mlp.experts.{e}.{p}_proj.weight": ("BF16", [2, 2], bytes(8)) for e in range(2) for p in ("gate", "up", "down")}
    fused = {"model.layers.1.mlp.experts.gate_up_proj": ("BF16", [2, 4, 2], bytes(32)), "model.layers.1.mlp.experts.down_proj": ("BF16", [2, 2, 2], bytes(16))}
    add("folder", "experts", {"model_type": "qwen3_moe"}, *safetensors(experts | fused))
    noted = {"a.weight": ("U8", [1, 18], bytes(18)), "b.weight": ("U32", [1, 4], bytes(16)), "b.scales": ("F16", [1, 1], bytes(2)), "b.biases": ("F16", [1, 1], bytes(2))}
    add("folder", "noted", {}, *safetensors(noted, {"nibble.packed.a.weight": "q4_0 f32", "nibble.packed.b.weight": "affine4-g32 f16"}))

    order = struct.pack("<32i", *range(31, -1, -1))
    reordered = {"a.weight": ("U8", [1, 18], bytes(18)), "a.input_order": ("I32", [32], order)}
    add("folder", "noted_order", {}, *safetensors(reordered, {"nibble.packed.a.weight": "q4_0 f32"}))

    two = {"a": ("F32", [1], bytes(4)), "b": ("U8", [2], bytes(2))}
    file = "model.safetensors"
    add("index", "two", {"metadata": {"total_size": 6}, "weight_map": {"a": file, "b": file}}, *safetensors(two))
    add("index", "none", {"weight_map": {"a": "model-00001-of-00002.safetensors"}}, *safetensors(two))

    for adapter in sorted((MODELS / "lora").iterdir()):
        if not adapter.is_dir():
            continue
        files = read_safetensors(next(adapter.glob("*.safetensors")))
        config = json.loads((adapter / "adapter_config.json").read_text())
        rank_last = {n: cut(t, 8) for n, t in list(files.items())[:8]}
        add("lora", adapter.name, {k: v for k, v in config.items() if v not in (None, False)}, *safetensors(rank_last))


# ---- tokenizers -----------------------------------------------------------------------------------------------------


def add_onnx():
    for name in ("onnx_weights", "onnx_weights_outside", "onnx_graphs"):
        add("onnx", name, (GOLDENS / f"{name}.onnx").read_bytes())


def add_tokenizers():
    for model in ("llama", "qwen2"):
        tokenizer = json.loads((MODELS / model / "tokenizer.json").read_text())
        config = json.loads((MODELS / model / "tokenizer_config.json").read_text())
        add("tokenizer_json", model, json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), config)
        model_part = tokenizer["model"]
        model_part["vocab"] = {t: i for i, t in enumerate(list(model_part["vocab"])[:12])}
        model_part["merges"] = []
        tokenizer["added_tokens"] = [dict(t, id=12 + i) for i, t in enumerate(tokenizer["added_tokens"][:3])]
        add("tokenizer_json", model + "_small", json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), config)
    vocabulary = {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4}
    merges = "#version: 0.2\na b\nĠ ab\n"
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<e>", "add_bos_token": False,
              "added_tokens_decoder": {"5": {"content": "<e>", "special": True, "lstrip": False}}}
    add("vocabulary", "small", vocabulary, merges, config, {"<e>": 5, "<f>": 6}, {"pad_token": {"content": "<f>"}})
    add("sentencepiece", "mistral", (MODELS / "mistral" / "tokenizer_config.json").read_text(), (MODELS / "mistral" / "tokenizer.model").read_bytes())
    templates = json.loads((GOLDENS / "chat_templates.json").read_text())["known"]
    for i, known in enumerate(templates if isinstance(templates, list) else templates.values()):
        if i % 3 == 0 and len(known["template"]) < 3000:
            add("chat_template", f"known{i}", known["template"].encode())


if __name__ == "__main__":
    shutil.rmtree(CORPUS, ignore_errors=True)
    add_safetensors()
    add_gguf()
    add_gguf_parts()
    add_config()
    add_folders()
    add_onnx()
    add_tokenizers()
    files = [p for p in CORPUS.rglob("*") if p.is_file()]
    print(f"{len(files)} inputs, {sum(p.stat().st_size for p in files)} bytes")

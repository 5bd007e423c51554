"""Model classes of transformers, as they are, on packed weights: beside the same weights decoded, and beside nibble's
own model code."""

import copy
import json
import os
import subprocess

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch = pytest.importorskip("torch", reason="torch is not installed (make deps-torch)")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate", reason="accelerate is not installed (make deps-torch)")

import nibble as nb  # noqa: E402
import nibble.torch as nt  # noqa: E402

SIZES = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=192, max_position_embeddings=64, initializer_range=0.1)  # fmt: skip
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=64, num_experts=4)
CONFIGS = {
    "llama": transformers.LlamaConfig(**SIZES),
    "qwen2": transformers.Qwen2Config(**SIZES),
    "qwen3": transformers.Qwen3Config(**SIZES, head_dim=32),
    "mixtral": transformers.MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2),
    "qwen3_moe": transformers.Qwen3MoeConfig(**SIZES, **EXPERTS, head_dim=32),
}
IDS = torch.arange(2, 26).reshape(2, 12)
# Of a whole model's logits, beside the norm of what they should be.
TOLERANCE = {"exact": 1e-5, "standard": 1e-3, "fast": 1e-1}


def random_model(name):
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()


def decoded(model):
    return nt.dequantize_(copy.deepcopy(model))


def distance(got, want):
    return float((got.float() - want.float()).norm() / want.float().norm())


@torch.no_grad()
def logits(model, ids=IDS):
    return model(ids).logits


@pytest.mark.parametrize("name", CONFIGS)
def test_decoders(name):
    model = nt.quantize_(random_model(name), bits=4, group_size=32)
    reference = decoded(model)
    experts = [n for n, p in model.named_parameters() if isinstance(p, nt.PackedTensor) and p.dim() == 3]
    assert len(experts) == (4 if hasattr(model.config, "num_experts_per_tok") else 0)
    want = logits(reference)
    for precision, tolerance in TOLERANCE.items():
        with nb.options(fallback="error", precision=precision):
            assert distance(logits(model), want) <= tolerance
    arguments = dict(max_new_tokens=8, do_sample=False, pad_token_id=0, eos_token_id=None)
    with nb.options(fallback="error", precision="exact"):
        assert torch.equal(model.generate(IDS, **arguments), reference.generate(IDS, **arguments))


@pytest.mark.parametrize("how", ["eager", "batched_mm", "grouped_mm"])
def test_experts_by_each_of_their_implementations(how):
    model = nt.quantize_(random_model("qwen3_moe"), bits=8, group_size=64)
    model.set_experts_implementation(how)
    with nb.options(fallback="error", precision="exact"):
        got = logits(model)
    assert distance(got, logits(decoded(model))) <= 1e-5


def test_bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(**{k: v for k, v in SIZES.items() if k != "num_key_value_heads"})
    model = nt.quantize_(transformers.BertModel(config).eval(), bits=8, group_size=32)
    with torch.no_grad(), nb.options(fallback="error", precision="exact"):
        got = model(IDS).last_hidden_state
    with torch.no_grad():
        assert distance(got, decoded(model)(IDS).last_hidden_state) <= 1e-5


# ---- folders ---------------------------------------------------------------------------------------------------------


def save_packed(model, folder, tensors, **settings):
    """A folder whose weights `tensors` replaces: other packers' components, or nibble's packed tensors."""
    model.save_pretrained(folder)
    packed = {name.removesuffix(".weight") for name in tensors if name.endswith(".weight")}
    packed |= {name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")}
    dense = {n: w for n, w in nb.load(folder / "model.safetensors").items() if n.removesuffix(".weight") not in packed}
    dense = {name: nb.asarray(np.array(w)) for name, w in dense.items()}
    nb.save(folder / "model.safetensors", {**dense, **tensors}, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def linear_weights(model):
    layers = {n: m.weight.detach().numpy() for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    return {name: w for name, w in layers.items() if "layers" in name}


def mlx_folder(model, folder):
    tensors = {f"{name}.weight": nb.quantize(w, bits=4, group_size=64) for name, w in linear_weights(model).items()}
    return save_packed(model, folder, tensors, quantization={"bits": 4, "group_size": 64})


def codes_of(w, group):
    """Unsigned codes (N, K), with scales and zero points (N, K/group), as GPTQ and AWQ have them."""
    grouped = w.reshape(w.shape[0], -1, group)
    low, high = np.minimum(grouped.min(-1), 0), np.maximum(grouped.max(-1), 0)
    scales = ((high - low) / 15).astype(np.float16)
    zeros = np.clip(np.rint(-low / scales), 1, 15).astype(np.int32)
    codes = np.clip(np.rint(grouped / scales[..., None].astype(np.float32)) + zeros[..., None], 0, 15)
    return codes.reshape(w.shape).astype(np.int32), scales, zeros


def words(codes, order=range(8)):
    """Eight codes of four bits along the last axis in a word."""
    parts = codes.reshape(*codes.shape[:-1], -1, 8)[..., list(order)].astype(np.uint32)
    return (parts << (4 * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32).view(np.int32)


def gptq_folder(model, folder, desc_act=False):
    """Under desc_act groups are of inputs that are no neighbours, others in each layer."""
    tensors, random = {}, np.random.default_rng(1)
    for name, w in linear_weights(model).items():
        order = random.permutation(w.shape[1]) if desc_act else np.arange(w.shape[1])
        sorted_codes, scales, zeros = codes_of(w[:, order], 64)
        codes, groups = np.empty_like(sorted_codes), np.empty(w.shape[1], np.int32)
        codes[:, order], groups[order] = sorted_codes, np.arange(w.shape[1]) // 64
        tensors[f"{name}.qweight"] = nb.asarray(np.ascontiguousarray(words(codes).T))
        tensors[f"{name}.qzeros"] = nb.asarray(words(np.ascontiguousarray(zeros.T) - 1))
        tensors[f"{name}.scales"] = nb.asarray(np.ascontiguousarray(scales.T))
        tensors[f"{name}.g_idx"] = nb.asarray(groups)
    packing = {"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": desc_act, "sym": False}
    return save_packed(model, folder, tensors, quantization_config=packing)


def gptq_folder_with_desc_act(model, folder):
    return gptq_folder(model, folder, desc_act=True)


def awq_folder(model, folder):
    tensors = {}
    for name, w in linear_weights(model).items():
        codes, scales, zeros = codes_of(w, 64)
        order = (0, 2, 4, 6, 1, 3, 5, 7)
        tensors[f"{name}.qweight"] = nb.asarray(words(np.ascontiguousarray(codes.T), order))
        tensors[f"{name}.qzeros"] = nb.asarray(words(np.ascontiguousarray(zeros.T), order))
        tensors[f"{name}.scales"] = nb.asarray(np.ascontiguousarray(scales.T))
    packing = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}
    return save_packed(model, folder, tensors, quantization_config=packing)


@pytest.mark.parametrize("folder", [mlx_folder, gptq_folder, gptq_folder_with_desc_act, awq_folder])
def test_folders_that_others_packed(folder, tmp_path):
    original = random_model("llama")
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, folder(original, tmp_path))
    projections = [m.weight for n, m in model.named_modules() if n.endswith("_proj")]
    assert projections and all(isinstance(w, nt.PackedTensor) for w in projections)
    assert all((w.input_order is not None) == (folder is gptq_folder_with_desc_act) for w in projections)
    with nb.options(fallback="error", precision="exact"):
        got = logits(model)
    assert distance(got, logits(decoded(model))) <= 1e-5
    assert distance(got, logits(original)) < 0.5  # four bits of noise
    for name, w in linear_weights(original).items():
        with nb.options(fallback="allow"):
            assert distance(model.get_submodule(name).weight.dequantize(), torch.tensor(w)) < 0.12


@pytest.mark.parametrize("name", ["llama", "mixtral", "qwen3_moe"])
def test_dense_folders(name, tmp_path):
    original = random_model(name)
    original.save_pretrained(tmp_path)
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)
    assert torch.equal(logits(model), logits(original))
    model.get_input_embeddings().weight.data.mul_(2)  # nobody's file


def test_packed_experts_from_a_folder(tmp_path):
    original = random_model("qwen3_moe")
    original.save_pretrained(tmp_path / "dense")
    tensors = {n: nb.quantize(w, bits=8) for n, w in nb.load(tmp_path / "dense").items() if "switch_mlp" in n}
    dense = {n: nb.asarray(np.array(w)) for n, w in nb.load(tmp_path / "dense").items() if n not in tensors}
    folder = tmp_path / "packed"
    original.config.save_pretrained(folder)
    nb.save(folder / "model.safetensors", {**dense, **tensors})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization": {"bits": 8, "group_size": 64}}))
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, folder)
    assert isinstance(model.model.layers[0].mlp.experts.gate_up_proj, nt.PackedTensor)
    with nb.options(fallback="error", precision="exact"):
        got = logits(model)
    assert distance(got, logits(decoded(model))) <= 1e-5
    assert distance(got, logits(original)) < 0.05


def test_folders_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match="there is no such file"):
        nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path / "nowhere")
    random_model("llama").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(nb.Error, match="safetensors"):
        nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)
    nb.save(tmp_path / "model.safetensors", {"w": nb.ones(2)})
    with pytest.raises(nb.ArgumentError, match=rf"{tmp_path}: tensor 'lm_head\.weight' is missing"):
        nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)
    nb.save(tmp_path / "model.safetensors", {"model.norm.weight": nb.ones(2)})
    with pytest.raises(nb.ArgumentError, match=rf"{tmp_path}: tensor 'model\.norm\.weight' is \(2,\)"):
        nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)
    for unknown in ('"of_tomorrow"', "[]", "null"):
        (tmp_path / "config.json").write_text(f'{{"model_type": {unknown}}}')
        with pytest.raises(NotImplementedError, match="knows no model_type"):
            nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)


def test_dtypes_by_name(tmp_path):
    random_model("llama").save_pretrained(tmp_path)
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path, dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    for wrong in ("float99", "nn"):
        with pytest.raises(nb.ArgumentError, match="no such dtype"):
            nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path, dtype=wrong)


def test_what_a_file_lacks_may_be_made_up_and_told(tmp_path):
    random_model("llama").save_pretrained(tmp_path)
    tensors = nb.load(tmp_path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    nb.save(tmp_path / "model.safetensors", tensors)
    with pytest.raises(nb.ArgumentError, match=r"'model\.layers\.1\.mlp\.up_proj\.weight' is missing"):
        nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path)
    _, account = nt.from_pretrained(transformers.AutoModelForCausalLM, tmp_path, output_loading_info=True)
    assert set(account["missing_keys"]) == {"model.layers.1.mlp.up_proj.weight"}


@pytest.mark.skipif("NIBBLE_PROGRAM" not in os.environ, reason="the program nibble is not built")
@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "qwen3_moe"])
def test_beside_nibbles_own_model_code(name, tmp_path):
    random_model(name).save_pretrained(tmp_path / "dense")
    program = [os.environ["NIBBLE_PROGRAM"]]
    packed, out = tmp_path / "packed", tmp_path / "logits.npy"
    subprocess.run([*program, "quantize", tmp_path / "dense", packed, "--bits", "4", "--group-size", "32"], check=True)
    tokens = ",".join(map(str, IDS[0].tolist()))
    subprocess.run([*program, "logits", packed, "--tokens", tokens, "--precision", "exact", "--out", out], check=True)
    model = nt.from_pretrained(transformers.AutoModelForCausalLM, packed)
    with nb.options(fallback="error", precision="exact"):
        assert distance(logits(model, IDS[:1])[0], torch.from_numpy(np.load(out))) <= 1e-5

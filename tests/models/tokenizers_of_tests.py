"""Builds the tiny tokenizers of the test models, and the cases that nibble's tokenizers are held to.

llama    byte-fallback BPE in a tokenizer.json, as Llama 2 has it; its ids are also checked against sentencepiece
mistral  the same kind as a sentencepiece tokenizer.model
qwen2/3  byte-level BPE in a tokenizer.json with Qwen2's pre-tokenizer pattern and ChatML's special tokens
"""

import io
import json
import sys
from pathlib import Path

import sentencepiece as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
from golden_io import save_json  # noqa: E402

CORPUS = [
    "The tide came in over the flat sand, and the boats that had been lying on their sides stood up again.",
    "She'd said that it wasn't going to rain, but the sky over the hills wasn't listening.",
    "There are 365 days in a year, 24 hours in a day, and 60 minutes in an hour; that's 525600 minutes.",
    "for (int i = 0; i < n; ++i) {\n    total += weights[i] * x[i];\n}\n",
    "The weights of the model are stored in groups, and the groups share a scale and a bias.",
    "Später aßen wir Äpfel am Fluss. Le garçon était déjà là, où l'été commençait.",
    "The thing that they were thinking about was the thing that they had been thinking about then.",
    "Once there was a small stone in the stream, and the stream ran over the stone, and the stone was round.",
]

TEXTS = [
    "",
    "The tide came in over the flat sand.",
    "the",
    " the",
    "  two   runs    of spaces ",
    "\ttabs\tand\nnew\nlines\r\n\n\n  indented\n",
    "I'm, you're, he'll, she'd, we've, it's, can't, I'M, THEY'LL",
    "1 12 123 1234 3.14159 1,000,000",
    "Später aßen wir Äpfel. Le garçon était là, où l'été commençait.",
    "e\u0301 is e with a combining accent; \u00e9 is not",
    "日本語のテキスト 和 中文 and 한국어",
    "emoji 🙂👩‍🚀🇫🇷 in a row",
    "tail of a character \ufffd and a zero\u200bwidth space",
    "x=weights[i]*(a+b)/2; // done!? ...",
    "non\u00a0breaking\u3000ideographic",
    "▁ is an ordinary character too",
    "<0x41> is not a byte",
    "snake_case CamelCase kebab-case",
    "thinking" * 9,
]

LLAMA2_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
CHATML_TURNS = (
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CHATML_TEMPLATE = "{% for message in messages %}" + CHATML_TURNS
CHATML_DEFAULT_SYSTEM_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" + CHATML_TURNS
)

CHATS = [
    [{"role": "user", "content": "What is gravity?"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Why?"}],
]
SYSTEM = {"role": "system", "content": "Be brief."}

# Qwen2's own pattern: contractions, words with one leading symbol, single digits, punctuation, newlines, spaces.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_sentencepiece(vocab_size: int) -> bytes:
    """A BPE model with Llama's settings: bytes for what is unknown, spaces kept, nothing normalized."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(" ".join(CORPUS).split("\n")), model_writer=model, model_type="bpe", vocab_size=vocab_size,
        byte_fallback=True, character_coverage=0.99, normalization_rule_name="identity", remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True, split_digits=True, num_threads=1, minloglevel=2)
    return model.getvalue()


def merges_of(sp: spm.SentencePieceProcessor) -> list[tuple[str, str]]:
    """BPE merges equivalent to sentencepiece's scores: each piece from its every split, best piece first."""
    pieces = [sp.id_to_piece(i) for i in range(sp.vocab_size())]
    ids = {p: i for i, p in enumerate(pieces)}
    merges = []
    for i, piece in enumerate(pieces):
        if sp.is_control(i) or sp.is_byte(i) or sp.is_unknown(i):
            continue
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if piece[:k] in ids and piece[k:] in ids]
        merges += [(sp.get_score(i), ids[a], ids[b], a, b) for a, b in splits]
    merges.sort(key=lambda m: (-m[0], m[1], m[2]))
    return [(a, b) for *_, a, b in merges]


def llama_tokenizer(model: bytes) -> Tokenizer:
    """The same vocabulary as Llama 2's tokenizer.json spells it."""
    sp = spm.SentencePieceProcessor(model_proto=model)
    vocab = {sp.id_to_piece(i): i for i in range(sp.vocab_size())}
    t = Tokenizer(models.BPE(vocab, merges_of(sp), byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in ("<unk>", "<s>", "</s>")])
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocab["<s>"])])
    return t


def qwen_tokenizer(vocab_size: int, specials: list[str], others: list[str]) -> Tokenizer:
    """Byte-level BPE of vocab_size tokens; the added tokens come after it, as in Qwen."""
    t = Tokenizer(models.BPE(byte_fallback=False))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    t.train_from_iterator(CORPUS, trainer)
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in specials])
    t.add_tokens([AddedToken(s, normalized=False, special=False) for s in others])
    return t


def write_config(folder: Path, template: str, **keys) -> None:
    save_json(folder / "tokenizer_config.json", keys | {"chat_template": template}, indent=2)


def chat_cases(folder: Path, with_system: bool) -> list[dict]:
    """Chats as the model's own template renders them."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = CHATS + ([[SYSTEM] + CHATS[0]] if with_system else [])
    return [{"messages": c, "text": tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=True)}
            for c in chats]


def write_cases(folder: Path, texts: list[str], encode, bos_id, eos_ids, with_system=True) -> None:
    """ids are without BOS; bos_id is what the tokenizer puts in front when it adds special tokens, null if nothing."""
    save_json(folder / "tokenizer_cases.json", {
        "bos_id": bos_id, "eos_ids": eos_ids,
        "cases": [{"text": t, "ids": encode(t)} for t in texts],
        "chats": chat_cases(folder, with_system)}, indent=None)


def make_llama(folder: Path, vocab_size: int) -> None:
    model = train_sentencepiece(vocab_size)
    sp = spm.SentencePieceProcessor(model_proto=model)
    t = llama_tokenizer(model)
    t.save(str(folder / "tokenizer.json"))
    write_config(folder, LLAMA2_TEMPLATE, tokenizer_class="PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>",
                 unk_token="<unk>", add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False)

    def encode(text):
        return t.encode(text, add_special_tokens=False).ids

    for text in TEXTS:
        assert encode(text) == sp.encode(text), text
    texts = TEXTS + ["</s>", "one</s>two", "<s>[INST] Hi [/INST] Hello. </s><s>[INST] Why? [/INST]"]
    write_cases(folder, texts, encode, sp.bos_id(), [sp.eos_id()])


def make_mistral(folder: Path, vocab_size: int) -> None:
    model = train_sentencepiece(vocab_size)
    (folder / "tokenizer.model").write_bytes(model)
    sp = spm.SentencePieceProcessor(model_proto=model)
    write_config(folder, MISTRAL_TEMPLATE, tokenizer_class="LlamaTokenizer", bos_token="<s>", eos_token="</s>",
                 unk_token="<unk>", add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False,
                 legacy=True)
    write_cases(folder, TEXTS, sp.encode, sp.bos_id(), [sp.eos_id()], with_system=False)


def make_qwen(folder: Path, vocab_size: int, template: str, others: list[str]) -> None:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    t = qwen_tokenizer(vocab_size, specials, others)
    t.save(str(folder / "tokenizer.json"))
    write_config(folder, template, tokenizer_class="PreTrainedTokenizerFast", bos_token=None,
                 eos_token="<|im_end|>", pad_token="<|endoftext|>", add_bos_token=False,
                 clean_up_tokenization_spaces=False)
    texts = TEXTS + [s + " " + s + "x" for s in specials + others]
    texts += ["<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n", "<|im_start |> is not special"]
    write_cases(folder, texts, lambda s: t.encode(s, add_special_tokens=False).ids, None,
                [t.token_to_id("<|im_end|>"), t.token_to_id("<|endoftext|>")])

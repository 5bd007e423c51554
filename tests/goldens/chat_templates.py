"""Chat templates rendered by transformers' own Jinja environment: what adapters/llm's recognised templates must write.

The templates are the ones that models of each family publish in their tokenizer_config.json, tool calls left out, and a few that look like them
but write something else (`refused`). Qwen3's is read from ../shared/data when the golden is made and when it is tested; only the texts are kept.
"""

from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

from golden_io import record_versions, save_json

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "data"

CHATML_TURN = "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
CHATML_END = "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are a helpful AI "
    "assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}{% endif %}" + CHATML_TURN + CHATML_END
)
QWEN25 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
CHATML_AS_TEXT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ALTERNATE = "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
LLAMA2_HEAD = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
)
LLAMA2_TAIL = (
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" + ALTERNATE + "{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + "
    "message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA2_DEFAULT = (
    "{% elif CONDITION and not '<<SYS>>' in messages[0]['content'] %}{% set loop_messages = messages %}"
    "{% set system_message = 'You are a helpful, respectful and honest assistant. Answer \\'safely\\'.\\n\\nAlways.' %}"
)
MISTRAL_HEAD = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}" + ALTERNATE + "{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
)
MISTRAL_TAIL = "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
MISTRAL_V2 = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After the optional system message, conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- " [INST] " + system_message + "\\n\\n" + message["content"] + " [/INST]" }}
        {%- else %}
            {{- " [INST] " + message["content"] + " [/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] + eos_token}}
    {%- endif %}
{%- endfor %}
"""
MISTRAL_V3 = MISTRAL_V2.replace("loop.first", "loop.last").replace('" [INST] "', '"[INST] "').replace('" [/INST]"', '"[/INST]"').replace(
    '" " + message["content"] + eos_token', '" " + message["content"]|trim + eos_token'
)
MISTRAL_NEMO = (
    MISTRAL_V3.replace('"[INST] "', '"[INST]"')
    .replace('" " + message["content"]|trim', 'message["content"]')
    .replace("{%- for message in loop_messages", '{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}\n{%- for message in loop_messages')
    .replace("loop.last and", "(message == user_messages[-1]) and")
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
LLAMA31 = """{{- bos_token }}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
DATE
{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- System message #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
DATE_31 = """{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
"""
DATE_32 = """{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

# name: (style, template, bos, eos, extra variables)
TEMPLATES = {
    "smollm2": ("ChatML", SMOLLM2, "<|im_start|>", "<|im_end|>", {}),
    "qwen2.5": ("ChatML", QWEN25, "", "<|im_end|>", {}),
    "qwen3": ("ChatML", None, "", "<|im_end|>", {}),
    "chatml": ("ChatML", "{% for message in messages %}" + CHATML_TURN + CHATML_END, "<s>", "<|im_end|>", {}),
    "chatml-as-text": ("ChatML", CHATML_AS_TEXT, "<s>", "<|im_end|>", {}),
    "llama-2": ("Llama-2", LLAMA2_HEAD + LLAMA2_TAIL, "<s>", "</s>", {}),
    "llama-2-default": ("Llama-2", LLAMA2_HEAD + LLAMA2_DEFAULT.replace("CONDITION", "true == true") + LLAMA2_TAIL, "<s>", "</s>", {}),
    "llama-2-no-default": ("Llama-2", LLAMA2_HEAD + LLAMA2_DEFAULT.replace("CONDITION", "false == true") + LLAMA2_TAIL, "<s>", "</s>", {}),
    "mistral-v0.1": ("Mistral", MISTRAL_HEAD + "{{ message['content'] + eos_token + ' ' }}" + MISTRAL_TAIL, "<s>", "</s>", {}),
    "mistral-v0.2": ("Mistral", MISTRAL_HEAD + "{{ message['content'] + eos_token}}" + MISTRAL_TAIL, "<s>", "</s>", {}),
    "mistral-v0.2-system": ("Mistral", MISTRAL_V2, "<s>", "</s>", {}),
    "mistral-v0.3": ("Mistral", MISTRAL_V3, "<s>", "</s>", {}),
    "mistral-nemo": ("Mistral", MISTRAL_NEMO, "<s>", "</s>", {}),
    "llama-3": ("Llama-3", LLAMA3, "<|begin_of_text|>", "<|eot_id|>", {}),
    "llama-3.1": ("Llama-3", LLAMA31.replace("DATE\n", DATE_31), "<|begin_of_text|>", "<|eot_id|>", {}),
    "llama-3.2": ("Llama-3", LLAMA31.replace("DATE\n", DATE_32), "<|begin_of_text|>", "<|eot_id|>", {"date_string": "03 Feb 2031"}),
    "zephyr": ("Zephyr", ZEPHYR, "<s>", "</s>", {}),
}

REFUSED = {
    "none": "",
    "gemma": "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\\n' + message['content'] | trim + "
    "'<end_of_turn>\\n' }}{% endfor %}",
    "phi-3": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\\n' + message['content'] + '<|end|>' "
    "+ '\\n' + '<|assistant|>' + '\\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\\n'}}{% endif %}{% endfor %}",
    "phi-4": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}",
    "chatml-other-answer": "{% for message in messages %}" + CHATML_TURN + CHATML_END.replace("assistant", "bot"),
    "chatml-with-blanks": "{% for message in messages %}\n    " + CHATML_TURN + "\n" + CHATML_END,
    "mistral-v7": MISTRAL_HEAD.replace("{{ bos_token }}", "{{ bos_token + '[SYSTEM_PROMPT] ' + messages[0]['content'] + '[/SYSTEM_PROMPT]' }}")
    + "{{ message['content'] + eos_token}}" + MISTRAL_TAIL,
}

SYSTEM = {"role": "system", "content": " Answer briefly.\n"}
USER = {"role": "user", "content": "What is gravity?"}
LONG = [
    USER,
    {"role": "assistant", "content": "<think>\nApples.\n</think>\n\nA force. "},
    {"role": "user", "content": " Über \"alles\"? 'Yes' {{ no }}\n\n"},
    {"role": "assistant", "content": "Ja."},
    {"role": "user", "content": "Why?"},
]
THOUGHT = LONG[1]
# With the user's message last, and then any others.
CHATS = [[USER], [SYSTEM, USER], LONG, [SYSTEM] + LONG,
         [USER, THOUGHT], [SYSTEM] + LONG[:4], [USER, LONG[3]], [USER, THOUGHT, THOUGHT], [USER, LONG[3], THOUGHT, LONG[3]],
         [SYSTEM], [LONG[3]], [THOUGHT, USER], [USER, USER], [SYSTEM, USER, LONG[3], USER, THOUGHT, USER], [USER, SYSTEM, USER],
         [SYSTEM, SYSTEM, USER]]


def leaves_out(text: str, messages: list) -> bool:
    """Whether a message behind the first is nowhere in the text."""
    return any(m["content"].split("</think>")[-1].strip() not in text for m in messages[1:])


def render(template: str, bos: str, eos: str, messages: list, prompt: bool, variables: dict) -> str | None:
    try:
        texts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=prompt, bos_token=bos, eos_token=eos, **variables)
        return None if leaves_out(texts[0], messages) else texts[0]
    except Exception as error:
        if "roles" not in str(error):  # only the templates' own raise_exception
            raise
        return None


def main() -> None:
    known = []
    for name, (style, template, bos, eos, variables) in TEMPLATES.items():
        text = template or (SHARED / "tokenizers/qwen3/chat_template.jinja").read_text()
        # A template that leaves a message out without a word is one that nibble refuses to fill.
        rendered, closed = ([render(text, bos, eos, chat, prompt, variables) for chat in CHATS] for prompt in (True, False))
        known.append({"name": name, "style": style, "template": template, "bos": bos, "eos": eos, "date": variables.get("date_string", "")}
                     | {"rendered": rendered, "closed": closed})
    refused = [{"name": name, "template": template} for name, template in REFUSED.items()]
    save_json(HERE / "chat_templates.json", {"chats": CHATS, "known": known, "refused": refused})
    record_versions(__file__, "transformers", "Jinja2")


if __name__ == "__main__":
    main()

"""Takes the programs out of pages. Each ```c and ```cpp block is one of its own, a page's ```python blocks are one, as
they are read. Prints where they are. usage: page_blocks.py SOURCE OUT PAGE..."""

import collections
import pathlib
import re
import sys


def name_of(page):
    """adapters/hosts/python/torch.md: python_torch; README.md: readme."""
    parts = [part for part in page.with_suffix("").parts if part not in ("adapters", "hosts", "README")]
    return "_".join(parts) or "readme"


def programs_of(text):
    """Suffixes and texts."""
    blocks = re.findall(r"^```(c|cpp|python)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    yield from ((language, block) for language, block in blocks if language != "python")
    if python := [block for language, block in blocks if language == "python"]:
        yield "py", "\n".join(python)


def main(source, out, *pages):
    for page in map(pathlib.Path, pages):
        name, written = name_of(page), collections.Counter()
        for suffix, text in programs_of((pathlib.Path(source) / page).read_text()):
            written[suffix] += 1
            number = written[suffix] if written[suffix] > 1 else ""
            program = pathlib.Path(out) / name / f"{name}{number}.{suffix}"
            program.parent.mkdir(parents=True, exist_ok=True)
            if not program.exists() or program.read_text() != text:
                program.write_text(text)
            print(program)


if __name__ == "__main__":
    main(*sys.argv[1:])

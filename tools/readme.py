"""Render README.md (and its pictures, nbs/images/index_*) from nbs/index.ipynb: `make readme`.

A cell that starts with `#| hide` is left out; one that starts with `#| echo: false` shows only its output.
Links are written in the notebook as seen from nbs/ and come out as seen from the root.
"""
import posixpath, re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent

def from_root(match):
    "A relative link of the notebook as a link of the README."
    target = match[1]
    if target.startswith("#"): return f"]({target.lower()})" # headings are anchored so outside Jupyter
    if re.match(r"[a-z]+:|nbs/", target): return match[0]
    return f"]({posixpath.normpath(posixpath.join('nbs', target))})"

def alternative_texts(notebook):
    "The `alt` that each displayed picture has, in order."
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [details for output in outputs for details in output.get("metadata", {}).values()]
    return [details["alt"] for details in shown if "alt" in details]

def render():
    "The README's text, and its pictures as {path: bytes}."
    notebook = nbformat.read(ROOT/"nbs/index.ipynb", 4)
    notebook.cells = [c for c in notebook.cells if not c.source.startswith("#| hide")]
    notebook.metadata["language_info"] = {"name": "python"}
    resources = {"unique_key": "index", "output_files_dir": "nbs/images"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources)
    for cell in notebook.cells:
        if cell.source.startswith("#| echo: false"): text = text.replace(f"```python\n{cell.source}\n```", "")
    alts = iter(alternative_texts(notebook))
    text = re.sub(r"\s*!\[(?:png|jpeg)\]\((\S+)\)\s*", lambda found: f"\n\n![{next(alts)}]({found[1]})\n\n", text)
    text = re.sub(r"\]\(([^)\s]+)\)", from_root, text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", resources["outputs"]

if __name__ == "__main__":
    text, pictures = render()
    for path, data in pictures.items():
        (ROOT/path).parent.mkdir(exist_ok=True)
        (ROOT/path).write_bytes(data)
    (ROOT/"README.md").write_text(text, encoding="utf-8")
    print(f"README.md: {len(text.splitlines())} lines, {len(pictures)} pictures")

"""A report as one self-contained HTML page: its own style, figures inside, contents at the side, no script.

Tables in Parquet are inside too, as links that save them; any other link to a file beside the Markdown is dropped:
the page is sent without it. The Markdown is rendered with markdown-it-py. Of HTML only what `reports.markdown` itself
writes passes (`<details>` and
`<summary>`); any other tag is shown as text, wherever it came from.
"""

import base64
import html
import itertools
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from reports.markdown import anchor

_OURS = re.compile(r"(<details>|</details>|<summary>[^<>]*</summary>)")


def _only_ours(content: str) -> str:
    """HTML with every tag that is not ours as text."""
    return "".join(part if _OURS.fullmatch(part) else html.escape(part, quote=False) for part in _OURS.split(content))


class _Renderer(RendererHTML):
    """Markdown to HTML with links to headings, tables that scroll, and figures inside the page."""

    folder = Path()

    def html_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _only_ours(tokens[idx].content)

    def html_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _only_ours(tokens[idx].content)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        # focusable, so that the keyboard can scroll it too
        return '<div class="scroll" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        target = str(tokens[idx].attrs["href"])
        if target.endswith(".parquet") and "/" not in target:
            data = base64.b64encode((env["folder"] / target).read_bytes()).decode()
            return f'<a download="{html.escape(target)}" href="data:application/vnd.apache.parquet;base64,{data}">'
        # a link of no target has no look and no function: what it encloses stays
        return f'<a href="{html.escape(target)}">' if target.startswith(("#", "https://")) else "<a>"

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        name = Path(str(token.attrs["src"])).with_suffix(".svg").name
        text = html.escape(self.renderInlineAsText(token.children, options, env))
        data = base64.b64encode((env["folder"] / name).read_bytes()).decode()
        return f'<span class="figure"><img alt="{text}" src="data:image/svg+xml;base64,{data}"></span>'


def _text(inline: Token) -> str:
    """The text of a heading without its markup."""
    return "".join(child.content for child in inline.children or [])


def _contents(tokens: Sequence[Token]) -> str:
    """The list of chapters and sections, with links; gives their headings the ids."""
    items = []
    for opened, inline in itertools.pairwise(tokens):
        if opened.type == "heading_open" and opened.tag in ("h2", "h3"):
            name = anchor(_text(inline))
            opened.attrSet("id", name)
            items.append(f'<li class="{opened.tag}"><a href="#{name}">{html.escape(_text(inline))}</a></li>')
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def render(markdown: str, folder: Path) -> str:
    """The page of a report's Markdown, whose figures are the SVG files in `folder`. Raises `OSError` if one is not."""
    parser = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    env: dict[str, Any] = {"folder": folder}
    tokens = parser.parse(markdown, env)
    title = next((_text(inline) for first, inline in itertools.pairwise(tokens) if first.tag == "h1"), "")
    contents = _contents(tokens)
    body = parser.renderer.render(tokens, parser.options, env)
    style = (files("reports") / "page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<nav aria-label="Contents">
<strong>Contents</strong>
{contents}
</nav>
<main>
{body}</main>
</body>
</html>
"""

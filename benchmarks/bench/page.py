"""Headings, text, tables and charts, as Markdown and as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from vggt_sfm.benchmarks import markdown

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap }
td.text { white-space: normal; min-width: 8rem }
th { font-weight: 600 } td.text, th.text { text-align: left }
svg { max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d } }
"""


class Table(NamedTuple):
    """A table; columns of figures are aligned to the right."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


class Chart(NamedTuple):
    """An SVG drawing, and the name of the file that it also is."""

    svg: str
    file: str
    alternative: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[str | Table | Chart]
    """Text is plain, one paragraph each."""


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """Write a page as Markdown; charts are files beside it."""
    blocks = [f"# {title}"]
    for section in sections:
        blocks.append(f"## {section.title}")
        blocks += [_markdown(part) for part in section.parts]
    return "\n\n".join(blocks) + "\n"


def _markdown(part: str | Table | Chart) -> str:
    match part:
        case Table(titles, rows):
            return markdown.table(titles, rows)
        case Chart(_, file, alternative):
            return f"![{alternative}]({file})"
        case _:
            return part


def as_html(title: str, sections: Sequence[Section]) -> str:
    """Write a page as one HTML file that asks for nothing else."""
    blocks = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>",
    ]
    for section in sections:
        blocks.append(f"<h2>{escape(section.title)}</h2>")
        blocks += [_html(part) for part in section.parts]
    return "\n".join([*blocks, "</body>\n</html>"]) + "\n"


def _html(part: str | Table | Chart) -> str:
    match part:
        case Table(titles, rows):
            return _html_table(titles, rows)
        case Chart(svg, _, _):
            return f"<figure>{svg}</figure>"
        case _:
            return f"<p>{escape(part)}</p>"


def _html_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    texts = [any(row[k][:1].isalpha() for row in rows) for k in range(len(titles))]

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f"<{tag}{' class=text' if text else ''}>{escape(cell)}</{tag}>"
            for cell, text in zip(cells, texts, strict=True)
        )
        return f"<tr>{''.join(marked)}</tr>"

    body = "\n".join(line("td", row) for row in rows)
    head = line("th", titles)
    return f'<div class="wide"><table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>'

"""The report as one HTML file: the matrix of checks and targets, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lab.conformance.verdict import Result

if TYPE_CHECKING:
    from lab.conformance.check import Check
    from lab.conformance.report.matrix import Matrix

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--mute:#6a737d;--line:#d8dee4;--head:#f6f8fa;
--pass:#2da44e;--fail:#cf222e;--error:#8250df;--skip:#b0b8c1}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--mute:#8d96a0;--line:#30363d;--head:#161b22;
--pass:#3fb950;--fail:#f85149;--error:#a371f7;--skip:#484f58}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1200px;padding:24px;background:var(--bg);color:var(--fg);
font:14px/1.45 system-ui,sans-serif}h1{font-size:22px;margin:0 0 16px}h2{font-size:15px;margin:0}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin-bottom:16px}
.card{border:1px solid var(--line);border-radius:8px;padding:12px 16px;min-width:230px;flex:1}
.card b{font-size:15px}.card .n{font-size:24px;font-weight:600}.card .of{color:var(--mute)}
.bar{display:flex;height:8px;border-radius:4px;overflow:hidden;margin-top:8px;background:var(--line)}
.bar i{display:block}.pass{background:var(--pass)}.fail{background:var(--fail)}.error{background:var(--error)}
.skip{background:var(--skip)}nav{margin:8px 0 16px;display:flex;flex-wrap:wrap;gap:8px;align-items:center}
nav button,nav input{font:inherit;padding:4px 12px;border:1px solid var(--line);border-radius:6px;
background:var(--head);color:var(--fg)}nav button.on{outline:2px solid var(--pass)}
.legend{color:var(--mute);margin-left:auto}.dot{display:inline-block;width:11px;height:11px;border-radius:3px;
vertical-align:-1px;margin:0 4px 0 10px}table{border-collapse:collapse;width:100%;table-layout:fixed}
th,td{border-bottom:1px solid var(--line);padding:5px 8px;text-align:left;vertical-align:top;
overflow-wrap:anywhere}
thead th{position:sticky;top:0;background:var(--head);z-index:1}th.t,td.t{text-align:center;width:120px}
col.id{width:210px}table.map{margin-bottom:20px}.map td{padding:4px 8px}.map td:first-child{width:210px}
.map td>a{float:left;width:9px;
height:9px;margin:1px;border-radius:2px}th.t{font-size:12px}tr:target td{background:var(--head)}
tr.topic td{background:var(--head);padding-top:10px;font-weight:600}
tr.topic td.t{font-weight:400;color:var(--mute)}td.id{font:12px ui-monospace,monospace}
td.t span{display:inline-block;min-width:52px;padding:1px 8px;border-radius:10px;color:#fff;font-size:12px}
.why{color:var(--mute);font-size:12.5px;margin-top:4px}.why code{color:var(--fg)}
.src{color:var(--mute);font-size:12px}
"""

SCRIPT = """
const rows=[...document.querySelectorAll('tr[data-k]')],find=document.querySelector('input');
let kind='all';
function show(){const word=find.value.toLowerCase();
for(const row of rows){row.hidden=!((kind=='all'||row.dataset.k.includes(kind))&&
row.textContent.toLowerCase().includes(word))}
for(const topic of document.querySelectorAll('tr.topic')){let row=topic.nextElementSibling,any=false;
while(row&&row.dataset.k!==undefined){any=any||!row.hidden;row=row.nextElementSibling}topic.hidden=!any}}
for(const b of document.querySelectorAll('nav button'))b.onclick=()=>{kind=b.dataset.f;
document.querySelectorAll('nav button').forEach(o=>o.classList.toggle('on',o===b));show()};
find.oninput=show;
"""


def _cards(matrix: Matrix) -> str:
    out = []
    for target in matrix.targets:
        counts = matrix.counts(target)
        total = sum(counts.values()) or 1
        ran = total - counts[Result.SKIP]
        bars = "".join(
            f'<i class="{result.value}" style="width:{100 * counts[result] / total:.2f}%"></i>'
            for result in Result
        )
        words = ", ".join(f"{counts[result]} {result.value}" for result in Result if counts[result])
        out.append(
            f'<div class="card"><b>{escape(target)}</b><div><span class="n">{counts[Result.PASS]}</span>'
            f'<span class="of"> of {ran} pass</span></div><div class="bar">{bars}</div>'
            f'<div class="src">{escape(words)}</div></div>'
        )
    return "".join(out)


def _map(matrix: Matrix) -> str:
    """Return the whole run at a glance: a square a check, by topic and target."""
    head = "".join(f"<th>{escape(target)}</th>" for target in matrix.targets)
    rows = []
    for topic, checks in matrix.topics():
        cells = ""
        for target in matrix.targets:
            squares = (
                f'<a class="{cell.result.value}" href="#{check.id}" title="{check.id}"></a>'
                for check in checks
                if (cell := matrix.cell(check.id, target)) is not None
            )
            cells += f"<td>{''.join(squares)}</td>"
        rows.append(f"<tr><td>{escape(topic)}</td>{cells}</tr>")
    return f'<table class="map"><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _row(matrix: Matrix, check: Check) -> str:
    cells, notes, kinds = [], [], []
    for outcome in matrix.row(check.id):
        if outcome is None:
            cells.append('<td class="t"></td>')
            continue
        value = outcome.result.value
        cells.append(
            f'<td class="t"><span class="{value}" title="{escape(outcome.reason, quote=True)}">'
            f"{value}</span></td>"
        )
        if outcome.result in (Result.FAIL, Result.ERROR):
            verdict = matrix.verdict(outcome)
            said = (
                f"<br><b>{escape(verdict.right)}</b>: {escape(verdict.why)} ({escape(verdict.source)})"
                if verdict
                else ""
            )
            notes.append(
                f'<div class="why"><code>{escape(outcome.target)}</code> {escape(outcome.reason)}{said}</div>'
            )
    if matrix.failed(check.id):
        kinds.append("fail")
    if matrix.differs(check.id):
        kinds.append("diff")
    return (
        f'<tr id="{check.id}" data-k="{" ".join(kinds)}"><td class="id">{check.id}</td>'
        f"<td>{escape(check.summary)}"
        f'<div class="src">{escape(check.source)}</div>{"".join(notes)}</td>{"".join(cells)}</tr>'
    )


def _topic(matrix: Matrix, topic: str, checks: list[Check]) -> str:
    cells = ""
    for target in matrix.targets:
        results = [cell.result for check in checks if (cell := matrix.cell(check.id, target)) is not None]
        cells += (
            f'<td class="t">{results.count(Result.PASS)} / {len(results) - results.count(Result.SKIP)}</td>'
        )
    return f'<tr class="topic"><td colspan="2">{escape(topic)}</td>{cells}</tr>'


def page(matrix: Matrix) -> str:
    """Return the page."""
    head = "".join(f'<th class="t">{escape(target)}</th>' for target in matrix.targets)
    body = "".join(
        _topic(matrix, topic, checks) + "".join(_row(matrix, check) for check in checks)
        for topic, checks in matrix.topics()
    )
    legend = "".join(f'<span class="dot {result.value}"></span>{result.value}' for result in Result)
    about = f'<p class="src">{escape(str(matrix.about))}</p>' if matrix.about is not None else ""
    columns = '<col class="id"><col>' + '<col style="width:120px">' * len(matrix.targets)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>82574L conformance</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>82574L conformance: {len(matrix.checks)} checks</h1>"
        f'{about}<div class="cards">{_cards(matrix)}</div>{_map(matrix)}'
        '<nav><button data-f="all" class="on">all</button><button data-f="fail">failures</button>'
        '<button data-f="diff">differences</button><input placeholder="find" aria-label="find">'
        f'<span class="legend">{legend}</span></nav>'
        f"<table><colgroup>{columns}</colgroup><thead><tr><th>check</th>"
        f"<th>what must hold</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table><script>{SCRIPT}</script></body></html>\n"
    )

"""The one style sheet of the service's pages; its hash is all that the content security policy lets in."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#14181f;--soft:#5b6573;--line:#e1e5ea;--accent:#1f5fd6;
--good:#0b7a4b;--good-bg:#dff5ea;--warn:#8a5a00;--warn-bg:#fdf0d0;--bad:#b3261e;--bad-bg:#fde4e1;--sim:#6a2fb5;--sim-bg:#eee2fb;
--bar:#1f5fd6;--bar-short:#c2571a;--cash:#9aa5b1;--b1:#7a8696;--b2:#c2571a;--b3:#0b7a4b;--b4:#8f5bd0;--b5:#b08900}
@media(prefers-color-scheme:dark){:root{--bg:#0e1116;--card:#171b22;--ink:#e8ecf2;--soft:#98a3b3;--line:#2a313c;--accent:#7aa7ff;
--good:#6fdca8;--good-bg:#10362a;--warn:#f2c45c;--warn-bg:#3a2c0c;--bad:#ff9c93;--bad-bg:#421a17;--sim:#cfa8ff;--sim-bg:#2f1d4a;
--bar:#7aa7ff;--bar-short:#f0955c;--cash:#5c6675;--b1:#8e9aab;--b2:#f0955c;--b3:#6fdca8;--b4:#c39bff;--b5:#e0c04d}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);overflow-wrap:break-word;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 16px}
header{padding-top:28px;padding-bottom:8px}
h1{font-size:1.7rem;line-height:1.2;margin:0;letter-spacing:-.02em}
h2{font-size:1.2rem;margin:0;letter-spacing:-.01em}
h3{font-size:.78rem;text-transform:uppercase;letter-spacing:.06em;color:var(--soft);margin:22px 0 8px;font-weight:600}
p{margin:6px 0}.lead{color:var(--soft);max-width:68ch}
nav{margin-top:8px}nav a{margin-right:16px}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:3px}
main{display:grid;gap:18px;grid-template-columns:repeat(2,minmax(0,1fr));padding-top:12px;padding-bottom:32px;align-items:start}
main.docs{grid-template-columns:minmax(0,1fr)}
@media(max-width:860px){main{grid-template-columns:minmax(0,1fr)}}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px;min-width:0}
.card.sim{border-color:var(--sim)}
.top{display:flex;flex-wrap:wrap;gap:8px 10px;align-items:center;justify-content:space-between}
.badges{display:flex;flex-wrap:wrap;gap:6px}
.badge{font-size:.75rem;font-weight:600;border-radius:999px;padding:2px 10px;border:1px solid var(--line);color:var(--soft);white-space:nowrap}
.promotable,.production{background:var(--good-bg);color:var(--good);border-color:transparent}
.unproven,.paper{background:var(--warn-bg);color:var(--warn);border-color:transparent}
.rejected,.problem{background:var(--bad-bg);color:var(--bad);border-color:transparent}
.simulated{background:var(--sim-bg);color:var(--sim);border-color:var(--sim)}.badge.simulated{letter-spacing:.06em}
.facts{color:var(--soft);font-size:.86rem;overflow-wrap:anywhere}
.note{border-radius:8px;padding:8px 12px;font-size:.88rem;margin-top:10px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 0 6px 10px;border-bottom:1px solid var(--line);font-weight:400}
th{color:var(--soft);font-size:.8rem}
td{white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-left:0}
tr.agent td{font-weight:650}tr:last-child td{border-bottom:0}
.key{display:inline-block;vertical-align:middle;margin-right:8px}
svg{display:block;max-width:100%}.chart{width:100%;height:auto;margin-top:4px}
.chart text{fill:var(--soft);font-size:11px}.grid{stroke:var(--line);stroke-width:1}
.l0{stroke:var(--accent)}.l1{stroke:var(--b1)}.l2{stroke:var(--b2)}.l3{stroke:var(--b3)}.l4{stroke:var(--b4)}.l5{stroke:var(--b5)}
.l0,.l1,.l2,.l3,.l4,.l5{fill:none;stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.l0{stroke-width:2.6}.l1,.l2,.l3,.l4,.l5{stroke-dasharray:5 3}
details{border-bottom:1px solid var(--line)}details:last-of-type{border-bottom:0}
summary{cursor:pointer;list-style:none;padding:7px 0;min-height:44px;display:flex;align-items:center}
summary::-webkit-details-marker{display:none}
.row{display:grid;grid-template-columns:minmax(84px,7.5rem) 1fr 4.6rem;gap:10px;align-items:center;font-size:.92rem;width:100%}
summary .row::after{content:none}
.row b{font-weight:600;overflow-wrap:anywhere}.row span:last-child{text-align:right;font-variant-numeric:tabular-nums}
.track{fill:var(--line)}.long{fill:var(--bar)}.short{fill:var(--bar-short)}.cash{fill:var(--cash)}.zero{stroke:var(--soft)}
.bar{width:100%;height:12px}
summary .row b::before{content:"\\25B8";color:var(--soft);display:inline-block;width:1em;font-weight:400}
details[open] summary .row b::before{content:"\\25BE"}
.still b::before{content:"";display:inline-block;width:1em}.still{padding:7px 0;min-height:44px}
.why{padding:0 0 12px 1em}.why td,.why th{padding-top:4px;padding-bottom:4px;font-size:.84rem}
.up{color:var(--good)}.down{color:var(--bad)}
.docs summary::before{content:"\\25B8";color:var(--soft);width:1em}.docs details[open] summary::before{content:"\\25BE"}
ul{padding-left:18px;margin:6px 0}li{margin:2px 0;font-size:.9rem}
pre{overflow-x:auto;background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:10px 12px;font-size:.82rem;margin:8px 0}
code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.88em;overflow-wrap:anywhere}
.method{font-size:.75rem;color:var(--accent);border:1px solid var(--accent);border-radius:6px;padding:1px 7px;margin-right:6px;vertical-align:2px}
@media(max-width:520px){th,td{padding-left:6px}table{font-size:.86rem}.key{margin-right:5px;width:14px}.chart text{font-size:17px}.row{gap:8px}}
.wide{grid-column:1/-1}.calm{background:var(--good-bg);color:var(--good)}
.whole{white-space:nowrap}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:8px 14px;margin:12px 0 4px}
.figures div{min-width:0}dt{color:var(--soft);font-size:.78rem}dd{margin:0;font-weight:650;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
td:first-child,.names{white-space:normal;overflow-wrap:anywhere}
.kill{border-top:1px solid var(--line);margin-top:18px;display:flex;flex-wrap:wrap;gap:8px 10px;align-items:center}
.kill h3{flex-basis:100%;margin-bottom:0}.kill label{font-size:.86rem}.kill output{flex-basis:100%;font-size:.88rem;min-height:1.4em}
input,button{font:inherit;min-height:44px;border-radius:8px;border:1px solid var(--soft);background:var(--card);color:var(--ink);padding:0 12px}
input{flex:1 1 9rem;min-width:0}button{font-weight:600;cursor:pointer}button[value=flatten]{background:var(--bad-bg);color:var(--bad);border-color:var(--bad)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}.old main{opacity:.55}
footer{color:var(--soft);font-size:.85rem;padding-bottom:40px}
"""

STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

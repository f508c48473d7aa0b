"""The look of every page: colours as variables, once for light and once for dark, and nothing loaded from outside.

Series colours keep apart for the common kinds of colour blindness (after Okabe and Ito 2008, and Tol 2021) and are dark
enough on paper, light enough on black, to be read as text; each baseline also has a dash of its own.
"""

from __future__ import annotations

_LIGHT = """
--paper:#fcfcfa;--card:#ffffff;--ink:#1b2026;--soft:#57616b;--rule:#dde1e4;--grid:#e9ecee;--zero:#9aa3ab;--shade:#1b202626;
--agent:#0b57b8;--band:#0b57b820;--fill:#0b57b826;
--buy_and_hold:#b4500a;--equal_weight:#00765f;--momentum:#8c3f8f;--inverse_volatility:#6f6100;
--minimum_variance:#a02c52;--cash-line:#6a737c;--random:#5f7486;--other:#4b5563;
--gain:#0b6b57;--loss:#b03a06;--gain-rgb:0 118 95;--loss-rgb:196 84 16;--heat:1;
--red:#b00020;--on-red:#ffffff;--amber:#8a5a00;--amber-bg:#fdf3dc;--green:#0b6b57;--green-bg:#e2f3ee;--red-bg:#fbe7e6;
--s0:#332f87;--s1:#79bfe6;--s2:#3a9d8c;--s3:#117733;--s4:#999933;--s5:#ddc871;--s6:#cc6677;--s7:#882255;--s8:#aa4499;
--s9:#b9bec4;--stack-cash:#eef0f1;"""
_DARK = """
--paper:#12161a;--card:#181d22;--ink:#e4e8eb;--soft:#a0abb5;--rule:#2d353c;--grid:#252c33;--zero:#66717b;--shade:#00000090;
--agent:#76b0ff;--band:#76b0ff2b;--fill:#76b0ff33;
--buy_and_hold:#f2a25c;--equal_weight:#4fd0b2;--momentum:#dba0de;--inverse_volatility:#d8c954;
--minimum_variance:#f08ba9;--cash-line:#a3adb7;--random:#8e99a4;--other:#b8c1ca;
--gain:#4fd0b2;--loss:#f5a26b;--gain-rgb:79 208 178;--loss-rgb:240 140 70;--heat:.72;
--red:#ff6b6b;--on-red:#1b0507;--amber:#f3c766;--amber-bg:#33290f;--green:#4fd0b2;--green-bg:#10302a;--red-bg:#3a1618;
--s0:#8f8ae6;--s1:#88ccee;--s2:#44aa99;--s3:#3f9c5a;--s4:#a8a845;--s5:#ddcc77;--s6:#d97a8a;--s7:#a84878;--s8:#c066b0;
--s9:#6d767f;--stack-cash:#232a30;"""

_PAGE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;font-size:15px;overflow-wrap:break-word;
font-family:-apple-system,BlinkMacSystemFont,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif;
font-variant-numeric:tabular-nums lining-nums}
main,.top{max-width:1180px;margin:0 auto;padding:0 24px}
a{color:var(--agent)}
.top{padding-top:22px}
.eyebrow{margin:0;color:var(--soft);font-size:13px;letter-spacing:.02em}
h1{margin:2px 0 2px;font-size:28px;line-height:1.2;font-weight:650;letter-spacing:-.01em}
h1 small{font-size:17px;font-weight:500;color:var(--soft);letter-spacing:0}
h2{margin:44px 0 6px;padding-top:14px;border-top:1px solid var(--rule);font-size:19px;font-weight:650}
h3{margin:22px 0 4px;font-size:15px;font-weight:650}
p{margin:6px 0;max-width:74ch}
.soft,.lead{color:var(--soft)}
.banner{background:var(--red);color:var(--on-red);padding:9px 24px;font-weight:650;text-align:center}
.banner span{font-weight:450}
.banner.stopped{background:var(--amber-bg);color:var(--amber)}
.meta{display:flex;flex-wrap:wrap;gap:4px 26px;margin:10px 0 2px;padding:0;list-style:none;font-size:14px}
.meta .full{flex-basis:100%}
.meta b{display:block;font-weight:500;color:var(--soft);font-size:12px}
.windows{position:relative;height:8px;margin-top:10px}
.windows i{position:absolute;top:0;height:8px;border-right:1.5px solid var(--paper)}
.legend{display:flex;flex-wrap:wrap;gap:0 16px;margin-top:3px;font-size:12px;color:var(--soft)}
.legend i{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px}
:is(.windows,.legend) .train{background:var(--s9)}:is(.windows,.legend) .validation{background:var(--s1)}:is(.windows,.legend) .test{background:var(--agent)}
.first{display:grid;grid-template-columns:minmax(0,1fr) 292px;gap:6px 28px;margin-top:14px;align-items:start}
.tiles{grid-column:1/-1;display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:1px;background:var(--rule);
border:1px solid var(--rule);border-radius:8px;overflow:hidden}
.tile{background:var(--card);padding:9px 14px 10px}
.tile .term{margin:0;font-size:12px;font-weight:500;color:var(--soft)}
.tile>data{font-size:22px;font-weight:620;letter-spacing:-.01em}.tile.long>data{font-size:14px}
.tile p{margin:0;font-size:12px;color:var(--soft)}
.verdict{margin-top:10px;border:1px solid var(--rule);border-radius:8px;background:var(--card);padding:12px 16px 10px}
.gap{max-width:none;margin:6px 0 0;font-size:13.5px;color:var(--soft);grid-column:1/-1}.first>details{grid-column:1/-1}.gap b{color:var(--ink)}
.verdict h2{border:0;margin:0;padding:0;font-size:13px;font-weight:500;color:var(--soft)}
.status{display:inline-block;margin:4px 0 4px;padding:3px 12px;border-radius:99px;font-weight:650;font-size:16px}
.promotable{background:var(--green-bg);color:var(--green)}
.unproven{background:var(--amber-bg);color:var(--amber)}
.rejected,.failed{background:var(--red-bg);color:var(--red)}
.verdict ul{margin:4px 0 0;padding-left:17px;font-size:13.5px;line-height:1.42}
.verdict li{margin:4px 0}.verdict p{margin:2px 0 4px;font-size:13.5px}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:18px 0 0;font-size:13.5px}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
figure{margin:12px 0 0;min-width:0;position:relative}
figcaption{font-weight:620;font-size:14px}
figcaption span{display:block;font-weight:400;color:var(--soft);font-size:12.5px;max-width:86ch}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px 36px}
.trio{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:8px 20px}
.scroll{overflow-x:auto;margin-top:8px;-webkit-overflow-scrolling:touch;
background:linear-gradient(90deg,var(--paper) 30%,transparent) left,linear-gradient(270deg,var(--paper) 30%,transparent) right,
linear-gradient(90deg,var(--shade),transparent) left,linear-gradient(270deg,var(--shade),transparent) right;
background-repeat:no-repeat;background-size:36px 100%,36px 100%,12px 100%,12px 100%;
background-attachment:local,local,scroll,scroll}
table{border-collapse:collapse;font-size:13.5px;min-width:100%}
th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
thead :is(th,td){color:var(--soft);font-weight:500;border-bottom:1px solid var(--rule);vertical-align:bottom}
th:first-child{text-align:left;padding-left:0}
tbody th{font-weight:500;position:sticky;left:0;background:var(--paper)}
td.note,table.stress td:last-child,table.audit td,table.audit th,table.trades :is(td,th):nth-child(-n+3){text-align:left}
.measures td:nth-child(2){font-weight:620}
table.audit td:last-child{white-space:normal}
table.comparison td:nth-child(3){padding:0 4px;width:230px}table.comparison td svg{width:220px;height:26px;vertical-align:middle}
table.board :is(td,th):nth-child(-n+3){text-align:left}table.board :is(td,th){padding-left:7px;padding-right:7px}table.board th:first-child{padding-left:0}
.why{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:4px 32px}.why ul{margin:4px 0;padding-left:18px;font-size:13.5px}table.board small{color:var(--soft)}
table.board th:first-child{padding-right:4px}table.board td:nth-child(7) svg{width:104px;height:18px;vertical-align:middle}table.board thead th{white-space:normal;vertical-align:bottom}
table.board td{padding-top:8px;padding-bottom:8px}
.settings{display:inline-block;max-width:36ch;white-space:normal;overflow-wrap:anywhere;color:var(--soft)}
.meter{display:inline-block;width:44px;height:7px;border-radius:4px;background:var(--grid);vertical-align:middle;margin-right:6px}
.meter i{display:block;height:7px;border-radius:4px;background:var(--agent)}
table.months{table-layout:fixed}table.months th,table.months td{padding:2px 2px;border:0;text-align:center;min-width:47px}
table.months th:first-child{min-width:44px;text-align:left}
.heat{display:block;padding:3px 2px;border-radius:3px}
.heat.up{background:rgb(var(--gain-rgb)/calc(var(--a)*var(--heat)))}.heat.down{background:rgb(var(--loss-rgb)/calc(var(--a)*var(--heat)))}
.loss{color:var(--loss)}
.mark{padding:1px 8px;border-radius:99px;font-size:12.5px}.pass{background:var(--green-bg);color:var(--green)}
.fail{background:var(--red-bg);color:var(--red)}.open{background:var(--amber-bg);color:var(--amber)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:6px 28px;margin:10px 0}
.facts div{min-width:0;border-bottom:1px solid var(--grid);padding-bottom:4px}
.facts dt{font-size:12px;color:var(--soft)}.facts dd{margin:0;overflow-wrap:anywhere;font-size:13.5px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:13px}
pre{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:10px 12px;overflow-x:auto;margin:8px 0}
pre.command{white-space:pre-wrap;overflow-wrap:anywhere}
details{margin:10px 0}summary{cursor:pointer;font-weight:500}
footer{margin:50px auto 30px;color:var(--soft);font-size:12.5px}
ul.notes li{margin:4px 0;max-width:80ch}
@media screen and (max-width:1080px){.first{grid-template-columns:minmax(0,1fr)}.verdict{grid-row:1;margin-top:0}}
@media screen and (max-width:1000px){.pair{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:760px){main,.top{padding-left:16px;padding-right:16px}.banner{padding:9px 16px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.pair,.trio{grid-template-columns:minmax(0,1fr)}
h1{font-size:24px}h1 small{display:block}.tile>data{font-size:20px}.facts{grid-template-columns:minmax(0,1fr)}
.meta{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px 16px}.meta .full{grid-column:1/-1}
table.comparison td:nth-child(3){width:140px}table.comparison td svg{width:132px}
:is(table.board,table.audit) thead{display:none}
:is(table.board,table.audit),:is(table.board,table.audit) :is(tbody,th,td){display:block}
:is(table.board,table.audit) tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 14px;padding:8px 0;border-bottom:1px solid var(--rule)}
:is(table.board,table.audit) :is(th,td){border:0;padding:2px 0!important;text-align:left;white-space:normal;overflow-wrap:anywhere}
:is(table.board,table.audit) :is(th,td[data-label=""],td[data-label="Agent"]){grid-column:1/-1;position:static}
:is(table.board,table.audit) td:not([data-label=""],[data-label="Agent"])::before{content:attr(data-label);display:block;font-size:12px;color:var(--soft)}
.settings{max-width:none}
}
.tip{position:absolute;pointer-events:none;background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:6px 10px;
font-size:12px;line-height:1.45;box-shadow:0 2px 10px var(--shade);z-index:2;white-space:nowrap}
.tip b{font-weight:600}.tip div{display:flex;justify-content:space-between;gap:14px;color:var(--c)}
svg[data-hover]{touch-action:pan-y}.cursor{stroke:var(--zero);stroke-width:1;pointer-events:none}
@media print{nav{display:none}body{font-size:12px}main,.top{max-width:none;padding:0}:is(.pair,.first){grid-template-columns:minmax(0,1fr)}figure,tr,.tiles,.verdict,.facts div{break-inside:avoid}
figcaption,h2,h3,thead{break-after:avoid}h2{margin-top:24px}.scroll{overflow:visible;background:none}
table{font-size:10.5px}th,td{padding:3px 5px;white-space:normal}.tile>data{font-size:17px}
:is(.windows,.legend,.meter) i,.heat,.status,.mark,.banner,.tiles{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
@media(forced-colors:active){:is(.windows,.legend,.meter) i,.meter,.heat,.tiles{forced-color-adjust:none}.heat,.tiles{color:var(--ink)}}
"""

_CHART = """
svg.chart{display:block;width:100%;height:auto;overflow:visible}
svg.chart.narrow{display:none}
@media screen and (max-width:760px){svg.chart.wide{display:none}svg.chart.narrow{display:block}
figure.scroll svg.chart.wide{display:block;min-width:720px}
table svg.chart.narrow{display:inline-block}}
table svg.chart.narrow{display:inline-block}
.chart text{font-size:12px;fill:var(--ink)}
.chart .tick{fill:var(--soft)}.chart .note{fill:var(--soft);paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.grid{stroke:var(--grid);stroke-width:1;shape-rendering:crispEdges}
.zero{stroke:var(--zero);stroke-width:1;shape-rendering:crispEdges}
.line{fill:none;stroke:var(--c);stroke-width:1.3;stroke-linejoin:round}
.line.agent{stroke-width:2.2}
.leader{fill:none;stroke:var(--c);stroke-width:1;opacity:.55}
.chart text.end{fill:var(--c);font-size:12px}.chart text.end.agent{font-weight:650}
.end-figure{font-weight:600}
.agent{--c:var(--agent)}.base-buy_and_hold{--c:var(--buy_and_hold)}
.base-equal_weight{--c:var(--equal_weight)}.line.base-equal_weight{stroke-dasharray:7 2}
.base-momentum{--c:var(--momentum)}.line.base-momentum{stroke-dasharray:4 2}
.base-inverse_volatility{--c:var(--inverse_volatility)}.line.base-inverse_volatility{stroke-dasharray:8 2 2 2}
.base-minimum_variance{--c:var(--minimum_variance)}.line.base-minimum_variance{stroke-dasharray:2 2}
.base-cash{--c:var(--cash-line)}.base-random{--c:var(--random)}.line.base-random{stroke-dasharray:1.5 2.5}
.base-other{--c:var(--other)}.line.base-other{stroke-dasharray:10 3}
.cost-trade{--c:var(--buy_and_hold)}.cost-finance{--c:var(--momentum)}.cost-income{--c:var(--equal_weight)}
.band{fill:var(--band)}.fill.agent{fill:var(--fill)}
circle{fill:var(--c)}circle.see-through{opacity:.72;stroke:var(--paper)}
circle.chosen{fill:var(--paper);stroke:var(--buy_and_hold);stroke-width:2.5}
.bar{fill:var(--c);opacity:.75}
.interval{stroke:var(--zero);stroke-width:3;stroke-linecap:round}.interval.sure{stroke:var(--agent);opacity:.5}
.middle{stroke:var(--ink);stroke-width:2}
.stack{stroke:var(--paper);stroke-width:.4}.stack.cash{fill:var(--stack-cash)}
"""
_STACK = "".join(f".s{k}{{fill:var(--s{k})}}" for k in range(10))

CSS = (
    f":root{{color-scheme:light dark;{_LIGHT}}}@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    f"{_PAGE}{_CHART}{_STACK}"
).replace("\n", "")

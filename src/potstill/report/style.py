"""How the page looks: light and dark, on paper, from a phone to a desk."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--quiet:#595959;--line:#d5d5d5;--soft:#f4f4f1;--accent:#0a5a8c}
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#161616;--quiet:#b0b0b0;--line:#3d3d3d;--soft:#222;
--accent:#7cc4f0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:74rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,"Apple SD Gothic Neo","Noto Sans KR","Malgun Gothic",sans-serif}
h1{font-size:1.35rem;margin:.2rem 0 1rem}h2{font-size:1.15rem;margin:2.4rem 0 .6rem;border-bottom:1px solid var(--line)}
.verdict{font-size:1.2rem;font-weight:600;border-left:.35rem solid var(--quiet);
padding:.4rem 0 .4rem .9rem;max-width:60rem}
.verdict.gain{border-color:#009E73}.verdict.harm{border-color:#D55E00}
p,ul{max-width:60rem;word-break:keep-all;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
caption{text-align:left;color:var(--quiet);padding:.3rem 0;caption-side:top}
th,td{padding:.32rem .7rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;white-space:nowrap}
th:first-child,#disagreements td,#confusion td:nth-child(2){text-align:left}
thead th,tbody th{white-space:normal;word-break:keep-all;min-width:4.5rem}tbody th{min-width:7rem}
#disagreements th[scope=row]{font-weight:400;min-width:16rem;max-width:34rem;overflow-wrap:anywhere}
#glossary td{white-space:normal;text-align:left}
#provenance td{text-align:left;white-space:normal;overflow-wrap:anywhere}
thead th{background:var(--soft)}tbody th{font-weight:600}
figure{margin:.6rem 0;max-width:38rem}svg{width:100%;height:auto;overflow:visible}
svg text{fill:var(--ink);font-size:11px}.grid{stroke:var(--line);fill:none}
figcaption{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.88rem}
figcaption span{display:inline-flex;align-items:center;gap:.35rem}.key{width:1rem;height:1rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}
details{margin:.4rem 0}summary{cursor:pointer;color:var(--accent)}
summary:focus-visible{outline:2px solid var(--accent)}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}
.cell{display:block;margin:-.32rem -.7rem;padding:.32rem .7rem;
background:color-mix(in srgb,#56B4E9 calc(var(--shade)*75%),transparent)}.cell.quiet{color:var(--quiet)}
.views{display:flex;flex-wrap:wrap;gap:1rem}.views>div{width:11rem}
#likeness td{text-align:left;white-space:normal}audio{width:11rem;height:2rem}
img{image-rendering:pixelated;background:#fff}
@media print{body{max-width:none}details{display:block}.scroll{overflow:visible}}
""".replace("\n", "")

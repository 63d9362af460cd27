/* style: the style sheet. One text, so that its hash would be one, too. */
#ifndef PAGE_STYLE_H
#define PAGE_STYLE_H

static const char style[] =
":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--card:#f6f8fa;"
"--load:#24292f;--pv:#c77700;--battery:#00795c;--grid:#0059b3;--soc:#00795c;--price:#a4306f;--command:#b34700;--spare:#6e4bb8;"
"--in:0,89,179;--ex:199,119,0}"
"@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6edf3;--dim:#9aa7b4;--line:#303a45;--card:#171e26;"
"--load:#e6edf3;--pv:#f0b429;--battery:#3ecfa3;--grid:#5cb0ff;--soc:#3ecfa3;--price:#f58cc4;--command:#ff9a5c;--spare:#b79cf5;"
"--in:92,176,255;--ex:240,180,41}}"
"*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}"
"body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
"main,header,footer{max-width:68rem;margin:0 auto;padding:0 1rem}header{padding-top:1.5rem}footer{padding-bottom:2rem;color:var(--dim);"
"font-size:.875rem;border-top:1px solid var(--line);margin-top:2rem;padding-top:1rem}"
"h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2rem 0 .5rem;padding-top:.5rem;"
"border-top:1px solid var(--line)}header p{margin:.25rem 0;color:var(--dim);overflow-wrap:anywhere}p{max-width:44rem;overflow-wrap:anywhere}"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:1rem 0;padding:0}"
".tiles div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}"
".tiles dt{color:var(--dim);font-size:.85rem}.tiles dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}"
".tiles dd small{display:block;font-size:.8rem;font-weight:400;color:var(--dim)}"
".scroll{overflow-x:auto;margin:.75rem 0}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}"
"caption{text-align:left;color:var(--dim);padding-bottom:.25rem}th,td{padding:.25rem .65rem;border-bottom:1px solid var(--line);"
"text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-left:0}thead th{border-bottom:2px solid var(--dim);"
"vertical-align:bottom}tbody th{font-weight:500}td.t{text-align:left;white-space:normal;min-width:12rem}"
".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr));gap:1.25rem;align-items:start}"
"figure{margin:0;min-width:0}figcaption{font-weight:600;line-height:1.3;margin-bottom:.25rem}figcaption small{display:block;font-weight:400;"
"color:var(--dim);font-size:.8rem}"
"details+figure{margin-top:1.25rem}ul.key{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.25rem 0;padding:0;font-size:.8rem}"
"ul.key svg{width:1.6rem;height:.8rem;vertical-align:-.08rem;margin-right:.35rem;display:inline}"
"svg{display:block;width:100%;height:auto}svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--dim)}"
"@media (max-width:34rem){svg text{font-size:14px}h1{font-size:1.35rem}.tiles{grid-template-columns:1fr 1fr}}"
".ax{stroke:var(--dim);stroke-width:1;fill:none}.gr{stroke:var(--line);stroke-width:1;fill:none}.band{fill:var(--battery);opacity:.12}"
".l{fill:none;stroke-width:1.6;stroke-linejoin:round;vector-effect:non-scaling-stroke}.e{stroke:none;opacity:.28}.b{stroke:var(--bg);stroke-width:.6}"
".i0{--i:var(--load)}.i1{--i:var(--pv)}.i2{--i:var(--battery)}.i3{--i:var(--grid)}.i4{--i:var(--soc)}.i5{--i:var(--price)}.i6{--i:var(--command)}"
".i7{--i:var(--spare)}.l{stroke:var(--i)}.e,.b{fill:var(--i)}.i1.l{stroke-dasharray:7 2}.i2.l{stroke-dasharray:3 2}.i6.l{stroke-dasharray:1.5 2.5}"
".i7.l{stroke-dasharray:8 2 2 2}"
".h{stroke:none}details{margin:.35rem 0 0;font-size:.85rem}summary{cursor:pointer;color:var(--dim)}"
"a{color:var(--grid)}code{font:.875em ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}"
/* On paper: black on white, nothing folded that was open, plots whole. */
"@page{margin:15mm}@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--card:#fff;--load:#000;--pv:#b36b00;"
"--battery:#00664d;--grid:#004c99;--soc:#00664d;--price:#8a2860;--command:#993d00;--spare:#5a3aa0;--in:0,76,153;--ex:179,107,0}"
"body{font-size:10pt}main,header,footer{max-width:none;padding:0}"
"figure,.tiles div,tr{break-inside:avoid}h2{break-after:avoid}.plots{grid-template-columns:1fr 1fr;gap:6mm}.scroll{overflow:visible}"
"table{font-size:8pt}th,td{padding:.15rem .4rem}details:not([open]){display:none}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}";

#endif

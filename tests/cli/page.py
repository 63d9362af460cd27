"""Look at a page of `psec control simulate --html` with parsers that have no line of psec's.

    page.py PAGE            well-formed, no script, nothing loaded, plots named and described, ids unique; or it says what not
    page.py PAGE JSON       and every figure of the results is, to the last digit, the one in the JSON
    page.py PAGE text TEXT  TEXT is a text of the page: what a reader sees, however it had to be written
"""
import html.parser
import json
import re
import sys
import xml.etree.ElementTree as ET

VOID = {"meta", "link", "br", "img", "input", "hr"}
source = open(sys.argv[1], encoding="utf-8").read()


class Look(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.refs, self.figures, self.text, self.classes, self.svgs = [], set(), set(), {}, [], set(), []

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        assert len(a) == len(attrs), (tag, attrs)
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "foreignobject"}, tag
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in {"src", "href", "srcset", "action", "xlink:href"}, (tag, name)
            if name == "style":
                assert "url" not in value, value
        if "id" in a:
            assert a["id"] not in self.ids, a["id"]
            self.ids.add(a["id"])
        self.refs |= set(a.get("aria-labelledby", "").split())
        if tag == "data":
            self.figures.setdefault(a["class"], []).append(float(a["value"]))
        if tag == "svg":
            assert a.get("aria-hidden") == "true" or (a["role"] == "img" and a["aria-labelledby"]), attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.text.append(data)


look = Look()
look.feed(source)
look.close()
assert not look.open, look.open
assert look.refs <= look.ids, look.refs - look.ids
assert source.startswith("<!DOCTYPE html>") and "Content-Security-Policy" in source and 'name="viewport"' in source
assert not re.search(r"<script|javascript:|@import|url\(", source, re.I)
assert "http" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"|http-equiv', "", re.sub(r"<p>.*?</p>|<td.*?</td>|<h1>.*?</h1>|<title>.*?</title>", "", source))
plots = re.findall(r"<svg .*?</svg>", source, re.S)
for plot in plots:
    svg = ET.fromstring(plot)
    if svg.get("aria-hidden") != "true":
        kids = [k.tag.split("}")[1] for k in svg][:2]
        assert kids == ["title", "desc"] and svg[0].text and svg[1].text, kids
    assert "nan" not in plot.lower().replace("finance", "") and "inf" not in re.sub(r">[^<]*<", "><", plot).lower()
assert sum('role="img"' in p for p in plots) >= 1
if len(sys.argv) == 3:
    rows = json.load(open(sys.argv[2]))
    rows = rows if isinstance(rows, list) else [rows]
    keys = [k for k in look.figures if k in rows[0]]
    assert len(keys) >= 14, keys
    for k in keys:
        assert look.figures[k] == [r[k] for r in rows if r[k] is not None], (k, look.figures[k])
    if rows[-1].get("closed_loop"):
        for k, v in rows[-1]["closed_loop"].items():
            if k in look.figures:
                assert look.figures[k] == [v], k
if len(sys.argv) == 4:
    assert sys.argv[3] in "".join(look.text), "not a text of the page"

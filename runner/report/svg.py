"""Renders a Vega-Lite specification as SVG that is safe to embed in the report.

vl-convert draws it, without a browser and without a network. Its output is then rebuilt
from the elements and attributes listed here, so that nothing in a name can become markup, a link
or a style. `plots` defines the plots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from ..errors import VlmsweepError
from ..text.sanitize import strip_control_characters

SVG = "{http://www.w3.org/2000/svg}"
ELEMENTS = {"svg", "g", "path", "line", "rect", "text", "tspan"}
ATTRIBUTES = {
    *("d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "width", "height", "viewBox"),
    *("transform", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity"),
    *("stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "opacity"),
    *("text-anchor", "font-size", "font-weight"),
}
NOT_XML = re.compile("[\ufffe\uffff]")
CONFIG = {
    "background": None,
    "font": "system-ui",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "labelPadding": 5,
        "labelLimit": 0,  # cutting a text, Vega may halve a character, and fail
    },
    "text": {"color": "var(--text)", "fontSize": 11},
}
EXTRA_MISSING = "the report extra is not installed"
EXTRA_HINT = "pip install 'vlmsweep[report]'; or --format md, which does without"


def render_svg(spec: Mapping[str, Any], title: str) -> str:
    """A plot as SVG, titled for readers who do not see it. Raises VlmsweepError."""
    try:
        import vl_convert
    except ImportError as error:
        raise VlmsweepError(f"{EXTRA_MISSING}: {error}", EXTRA_HINT) from error
    drawn = vl_convert.vegalite_to_svg(xml_safe({"config": CONFIG, **spec}))
    # Written by the line above; expat loads no external entities by default.
    root = allowlist_element(ElementTree.fromstring(drawn))
    assert root is not None
    root.set("role", "img")
    root.set("aria-label", xml_safe(title))
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def xml_safe(value: Any) -> Any:
    """A specification whose texts XML can hold: at others vl-convert ends the whole process."""
    if isinstance(value, str):
        return NOT_XML.sub("\ufffd", strip_control_characters(value))
    if isinstance(value, Mapping):
        return {key: xml_safe(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [xml_safe(part) for part in value]
    return value


def allowlist_element(element: ElementTree.Element) -> ElementTree.Element | None:
    """An element of what is listed alone; None for one that is not listed, or never seen."""
    name = element.tag.removeprefix(SVG)
    gone = element.get("opacity") == "0" or element.get("display") == "none"
    if name not in ELEMENTS or gone:
        return None
    kept = {key: value for key, value in element.attrib.items() if key in ATTRIBUTES}
    made = ElementTree.Element(name, kept)
    made.text = xml_safe(element.text) if element.text and name in ("text", "tspan") else None
    if (label := element.get("aria-label")) and element.get("aria-roledescription") != "axis":
        ElementTree.SubElement(made, "title").text = xml_safe(label)
    for child in element:
        if (part := allowlist_element(child)) is not None:
            made.append(part)
    empty = not len(made) and not made.text and (name == "g" or not made.get("d", "x"))
    return None if empty else made

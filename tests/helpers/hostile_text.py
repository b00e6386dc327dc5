"""Texts and file names that would mark up or run something if they were not escaped."""

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"--></style>"
ESCAPES = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eesrever\u202c"
LIAR = 'it\'s "quoted" & </script><b>'
NAMES = ('red\'s "circle" & <b>.png', "<img src=x onerror=alert(3)>.png", "broken {{ 7*7 }}.png")

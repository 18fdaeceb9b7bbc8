"""The page is one file without a script, and shows data as text."""

import re

import pytest

from reports.page import render

MARKDOWN = """# Title *one*

## Chapter

### Is it so?

[![a & b](plot.png)](plot.svg)

The table: [plot.parquet](plot.parquet), and [a note](notes.txt).

| name | n |
| ---- | --: |
| a\\|b \\<i\\> | 1 |

An answer with <img src=x onerror=alert(1)> and <b>bold</b>.

<script>alert(1)</script>

[bad](javascript:alert)

<details>
<summary>The SQL</summary>

```sql
select '<b>';
```

</details>
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "plot.parquet").write_bytes(b"PAR1")
    (tmp_path / "plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return render(MARKDOWN, tmp_path)


def test_figures_are_inside(page):
    assert re.search(r'<img alt="a &amp; b" src="data:image/svg\+xml;base64,[\w+/=]+">', page)
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_tables_are_inside_and_other_files_are_not_linked(page):
    assert (
        '<a download="plot.parquet" href="data:application/vnd.apache.parquet;base64,UEFSMQ==">plot.parquet</a>' in page
    )
    assert "<a>a note</a>" in page
    assert "plot.svg" not in page


def test_contents_link_to_headings(page):
    assert '<li class="h3"><a href="#is-it-so">Is it so?</a></li>' in page
    assert '<h3 id="is-it-so">' in page
    assert "<title>Title one</title>" in page


def test_only_our_own_tags_pass(page):
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert "javascript:" not in re.sub(r"<p>.*?</p>", "", page)
    assert "<details>\n<summary>The SQL</summary>" in page


def test_tables_scroll(page):
    assert re.search(r'<div class="scroll" tabindex="0"><table>.*</table></div>', page, re.DOTALL)
    assert '<td style="text-align:right">1</td>' in page
    assert "<td>a|b &lt;i&gt;</td>" in page


def test_a_figure_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        render(MARKDOWN, tmp_path)

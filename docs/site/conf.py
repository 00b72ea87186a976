"""How Sphinx makes the book's site. `mtl_nt.book.site` puts its sources together and calls Sphinx.

Nothing that a page needs lies outside the site: formulas are MathML, notebooks are not run, and the
pictures are in the pages. So the site can be read from a disk, without a network.
"""

import os
import re

from docutils.nodes import SkipNode

import mtl_nt
from mtl_nt.book.page import mathml

project, author, copyright = "mtl_nt", "The mtl_nt authors", "The mtl_nt authors"
version = release = mtl_nt.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static"]
suppress_warnings = ["misc.highlighting_failure", "mystnb.unknown_mime_type"]

# Notebooks show what they showed when they ran.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_render_markdown_format = "myst"
nb_code_prompt_show = nb_code_prompt_hide = "Code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# The reference: names in backticks are links where they are documented.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring, napoleon_use_ivar = False, True

html_theme = "sphinx_book_theme"
html_title = "Negative transfer in multi-task learning"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_context = {"default_mode": "auto"}  # as the reader's system has it
html_copy_source = html_show_sourcelink = html_use_index = html_domain_indices = False
# A page from a disk may not read another one, so only a server's search quotes what it has found.
NO_SUMMARY = "DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== 'file:';"
html_js_files = [(None, {"body": NO_SUMMARY})]
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_repository_button": False,
    "navbar_persistent": [],  # the search field of the sidebar is enough
}

REPOSITORY = os.environ.get("MTL_NT_REPOSITORY", "").strip().rstrip("/")
if REPOSITORY:  # then a reader can start a notebook of it
    html_theme_options |= {
        "repository_url": REPOSITORY,
        "repository_branch": os.environ.get("MTL_NT_BRANCH", "main"),
        "use_repository_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }


def setup(app):
    """Formulas as MathML, and shapes of tensors as they stand in the code."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    app.connect("autodoc-process-signature", _plain_signature)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline_math(writer, node):
    writer.body.append(mathml(node.astext(), "inline"))
    raise SkipNode  # all of the formula is written


def _block_math(writer, node):
    writer.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    raise SkipNode  # all of the formula is written


def _plain_signature(app, what, name, obj, options, signature, returned):
    """A signature without the names of the modules that its types come from."""
    return tuple(text and PREFIX.sub("", text) for text in (signature, returned))


def _as_restructured_text(app, what, name, obj, options, lines):
    """What a docstring writes as plain text: |a| for a size, `Method`s, and formulas set apart."""
    made, section, apart = [], False, False
    for line in lines:
        if line.strip():
            indented = line.startswith("    ")
            section = bool(SECTION.fullmatch(line)) or (section and indented)
            if indented and not section and not apart:
                made += ["::", ""]
            apart = indented and not section
        if not apart and not line.startswith((">>>", "...")):
            line = PLURAL.sub(r"\1\\ s", line).replace("|", r"\|")
        made.append(line)
    if what == "data":  # a table of methods, say, is better read in the code
        made += ["", ":meta hide-value:"]
    lines[:] = made


PREFIX = re.compile(r"~?\b(?:[a-z_]\w*\.)+(?=[A-Z])")
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
PLURAL = re.compile(r"(`[^`]+`)s\b")

"""What docs/ names in the repository exists."""

import ast
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "method.md").read_text()
WHERE = (ROOT / "docs" / "where.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]

# `folder/file.py` or `folder/file.py: name, Class.method`
NAMED = re.compile(r"`((?:[\w-]+/)*[\w-]+\.py)(?::\s+([\w.,\s]+))?`")


def _named(text):
    """Pairs of a file and a name in it, or None for the file alone."""
    pairs = []
    for file, names in NAMED.findall(text):
        pairs += [(file, name) for name in re.split(r",\s+", names)] if names else [(file, None)]
    return pairs


def _defined(file):
    """Names of a module's functions, classes and their methods, and constants."""
    kinds = ast.FunctionDef | ast.ClassDef
    found = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, kinds):
            found.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found |= {f"{node.name}.{part.name}" for part in inner if isinstance(part, kinds)}
    return found


def _sections():
    """Dict of a section's title to its text."""
    parts = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("text", [TEXT, WHERE], ids=["method", "where"])
def test_every_module_and_function_that_is_named_exists(text):
    pairs = _named(text)
    assert len(pairs) > 30
    for file, name in pairs:
        assert (ROOT / file).is_file(), file
        assert name is None or name in _defined(file), (file, name)


@pytest.mark.parametrize("text", [TEXT, WHERE], ids=["method", "where"])
def test_no_module_is_named_in_a_way_that_is_not_checked(text):
    text = text.replace("`python tools/config_page.py`", "")
    unchecked = re.findall(r"[\w/-]+\.py\b", NAMED.sub("", text))
    assert not unchecked


def test_every_section_of_the_method_says_where_it_is_in_the_code():
    sections = _sections()
    assert sections.pop("References", None) and len(sections) > 5
    for title, text in sections.items():
        last = text.strip().split("\n\n")[-1]
        assert last.startswith("In the code: ") and NAMED.search(last), title


def _name(page):
    return page.relative_to(ROOT / "docs").as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_of_a_page_works(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?://|mailto:|#", target):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize(
    "page",
    [
        page if page.stem == "index" else pytest.param(page, marks=pytest.mark.slow)
        for page in WITH_CODE
    ],
    ids=_name,
)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, _name(page), "exec"), names)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs has it")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    command += ["-f", str(ROOT / "tools/documentation/mkdocs.yml"), "-d", str(tmp_path / "site")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=quiet)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    page = (tmp_path / "site" / "api" / "optimizers" / "index.html").read_text()
    assert "trust_clip" in page and "decays outside the trust ratio" in page


def _cells(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_code_of_a_notebook_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}
    for number, cell in enumerate(_cells(notebook)):
        exec(compile("".join(cell["source"]), f"{notebook.name}: {number}", "exec"), names)


def test_notebooks_show_what_their_code_gave():
    assert len(NOTEBOOKS) == 3
    for notebook in NOTEBOOKS:
        outputs = [output for cell in _cells(notebook) for output in cell["outputs"]]
        kinds = {kind for output in outputs for kind in output.get("data", {})}
        assert "image/png" in kinds and len(outputs) > 2, notebook
        assert "error" not in {output["output_type"] for output in outputs}, notebook


def test_pages_have_code():
    named = {_name(page) for page in WITH_CODE}
    how_to = {_name(page) for page in PAGES if page.parent.name == "how_to"}
    assert {"index.md", "how_to/own_model.md"} <= named
    of_commands = {f"how_to/{name}.md" for name in ("experiments", "speed")}
    assert how_to - named <= of_commands


def test_every_page_is_in_the_navigation():
    text = (ROOT / "tools/documentation/mkdocs.yml").read_text()
    found = re.findall(r"[ :]([\w/]+\.md)$", text, flags=re.MULTILINE)
    assert sorted(found) == sorted(map(_name, PAGES))


def test_what_the_reference_names_is_there():
    named = [
        name
        for page in (ROOT / "docs" / "api").glob("*.md")
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), flags=re.MULTILINE)
    ]
    assert len(named) > 30
    for name in named:
        module, _, last = name.rpartition(".")
        path = ROOT / (name.replace(".", "/") + ".py")
        assert path.is_file() or last in _defined(module.replace(".", "/") + ".py"), name


def _flags(page, table):
    """Names of the flags of a page's table."""
    text = (ROOT / "docs" / "how_to" / page).read_text().split(f"| flag | {table} |")[1]
    return set(re.findall(r"--(\w+)", text.split("\n\n")[0]))


def test_the_tables_have_every_flag_and_no_other():
    from tf_bdecay.sharpness_command import flags
    from tf_bdecay.training_command import flag_table

    trains = {flag.name for flag in flag_table.FLAGS} | {"config", "help"}
    assert _flags("experiments.md", "meaning") == trains
    assert _flags("sharpness.md", "meaning (default)") == set(flags._NAMES)


def test_what_a_policy_is_told_of_a_variable_is_what_its_role_has():
    from tf_bdecay.roles import VariableRole

    text = (ROOT / "docs/how_to/policy.md").read_text()
    named = re.findall(r"`(\w+)`", re.search(r"`variable` has (.+?)\. ", text, re.DOTALL)[1])
    assert "role" in named and set(named) <= {f.name for f in dataclasses.fields(VariableRole)}


def _sources():
    """Dict of a Python file of the package to its text."""
    return {file: file.read_text() for file in ROOT.glob("tf_bdecay/**/*.py")}


def test_every_module_that_the_code_names_is_there():
    """By its path from the file that names it, from the package, or from the root."""
    named = {
        (file, name)
        for file, text in _sources().items()
        for name in re.findall(r"(?<![\w/.}])(?:\w+/)*\w+\.py\b", text)
    }
    assert len(named) > 20
    for file, name in named:
        homes = file.parent, ROOT / "tf_bdecay", ROOT
        assert any((home / name).is_file() for home in homes), (file, name)


def test_what_the_code_cites_of_the_method_is_a_section():
    cited = {
        (file, title)
        for file, text in _sources().items()
        for title in re.findall(r"docs/method\.md, \"([^\"]+)\"", text)
    }
    assert cited
    assert not [(file, title) for file, title in cited if title not in _sections()]


def test_every_paper_that_the_code_cites_is_in_the_references():
    # "Hoffer et al., 2017", "Ubaru, Chen and Saad (2017)", "Hutchinson, 1989"
    citation = r"([A-Z]\w+)(?:,? [A-Z]\w+| and [A-Z]\w+| et al\.)*,?\s\(?((?:19|20)\d\d)\b"
    references = re.split(r"\n\* ", _sections()["References"])
    cited = {
        (author, year, file)
        for file, text in _sources().items()
        for author, year in re.findall(citation, text)
    }
    assert len(cited) > 5
    for author, year, file in cited:
        assert any(author in entry and year in entry for entry in references), (author, year, file)

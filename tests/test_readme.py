"""What README tells a stranger to do works."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_snippet_runs(capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "1 gamma-beta pairs" in printed
    assert "Total" in printed


def test_the_files_it_names_are_there():
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"`?(configs/\w+\.py)", README)):
        assert (ROOT / name).exists(), name


def test_every_make_target_it_names_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target

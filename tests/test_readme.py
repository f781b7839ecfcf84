"""What README tells a newcomer to do works."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_snippets_run_one_after_the_other(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snippets, names = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL), {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    for part in ("1 gamma-beta pairs", "beta decay on in", "Connectivity sharpness"):
        assert part in printed


def test_the_files_it_names_are_there():
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"`?(configs/\w+\.py)", README)):
        assert (ROOT / name).exists(), name


def test_the_modules_of_its_layout_are_there():
    layout = README.split("## Layout")[1].split("Imports run down")[0]
    names = set(re.findall(r"[\w/]+\.py\b", layout))
    there = [p for under in ("*", "tf_bdecay/**/*", "tools/**/*") for p in ROOT.glob(f"{under}.py")]
    assert len(names) > 30
    assert [n for n in names if not any(path.match(n) for path in there)] == []


def test_every_make_target_it_names_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target

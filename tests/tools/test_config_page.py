"""The page of all keys is made from the table."""

from tf_bdecay.training.config import key_table, keys
from tools import config_page


def test_the_page_is_that_of_the_table():
    assert config_page.PATH.read_text() == config_page.page(), "run python tools/config_page.py"


def test_the_page_has_every_key():
    page = config_page.page()
    branches = [b for choice in keys.CHOICES.values() for b in choice.branches.values()]
    paths = {path for branch in branches for path in branch}
    assert len(paths) > 20
    for path in paths | set(key_table.ALWAYS):
        assert f"| `{path}` |" in page

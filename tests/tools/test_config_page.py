"""The page of all keys is the table's."""

from tf_bdecay.training.config import keys
from tools import config_page


def test_the_page_is_that_of_the_table():
    assert config_page.PATH.read_text() == config_page.page(), "run python tools/config_page.py"


def test_the_page_has_every_key():
    page = config_page.page()
    paths = {path for _, branches in keys.CHOICES.values() for b in branches.values() for path in b}
    assert len(paths) > 20
    for path in paths | set(keys.ALWAYS):
        assert f"| `{path}` |" in page

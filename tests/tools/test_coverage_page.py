"""The page of what the tests run, from known counts."""

from tools import coverage_page


def test_a_folder_sums_its_files_and_low_files_are_named():
    found = {
        "tf_bdecay/optim/lamb.py": (30, 0),
        "tf_bdecay/optim/sgd.py": (10, 4),
        "tf_bdecay/optim/__init__.py": (0, 0),
        "tf_bdecay/errors.py": (10, 1),
        "tools/devices.py": (10, 10),
    }
    lines = coverage_page.page(found).splitlines()
    assert [line for line in lines if line.startswith("| `")] == [
        "| `tf_bdecay` | 1 | 10 | 90.0% |",
        "| `tf_bdecay/optim` | 2 | 40 | 90.0% |",
        "| `tf_bdecay/optim/sgd.py` | 10 | 60.0% |",
    ]
    assert "| all | 3 | 50 | 90.0% |" in lines

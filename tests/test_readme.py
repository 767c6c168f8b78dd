"""The README says what CI does."""

from stnlab.config import PROJECT_DIR

README = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command():
    ci = (PROJECT_DIR / ".ci" / "run").read_text(encoding="utf-8")
    command = next(line for line in ci.splitlines() if "pytest" in line)
    assert f"\n{command}\n" in README


def test_the_readmes_pictures_are_there():
    pictures = [part.split(")")[0] for part in README.split("](docs/")[1:]]
    assert pictures
    for picture in pictures:
        assert (PROJECT_DIR / "docs" / picture).is_file()

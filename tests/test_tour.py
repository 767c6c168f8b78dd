"""docs/tour.ipynb: it runs from nothing, its claims hold, and what is committed is such a run."""

import json

import nbformat
import pytest
from nbclient import NotebookClient

from stnlab.config import PROJECT_DIR

TOUR = PROJECT_DIR / "docs" / "tour.ipynb"
_FOUND = """
import json
print(json.dumps({
    "by hand": [before, after],
    "angle": [angle, found_angle],
    "accuracy": reached,
    "slopes": [slope, slope_of_other, slope_of_run],
    "outside": {str(lr): outside[-1] for lr, (_, _, outside) in runs.items()},
    "gradients": {str(lr): gradient_of(each) for lr, (each, _, _) in runs.items()},
}))
"""


# Of pyzmq and its event loop, which are the kernel's own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_and_shows_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    tour = nbformat.read(TOUR, nbformat.NO_CONVERT)
    tour.cells.append(nbformat.v4.new_code_cell(_FOUND))
    NotebookClient(
        tour, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    found = json.loads(tour.cells[-1].outputs[0].text)
    before, after = found["by hand"]
    assert after < before / 4
    turned, back = found["angle"]
    assert back == pytest.approx(-turned, abs=3)
    assert found["accuracy"] > 0.7
    rotation, similarity, of_a_short_run = found["slopes"]
    assert -1.2 < rotation < -0.4
    assert rotation < similarity
    assert rotation < of_a_short_run < 0
    assert found["outside"]["0.1"] > 0.95
    assert found["outside"]["0.001"] < 0.5
    assert found["gradients"]["0.1"] == 0 < found["gradients"]["0.001"]


def test_what_is_committed_was_run_in_order_and_is_light():
    tour = nbformat.read(TOUR, nbformat.NO_CONVERT)
    nbformat.validate(tour)
    code = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "display_data"}
    assert all(output.get("name") != "stderr" for cell in code for output in cell.outputs)
    assert sum("image/png" in str(cell.outputs) for cell in code) >= 6
    assert TOUR.stat().st_size < 500_000

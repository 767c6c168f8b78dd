"""The page to play with: it computes what torch computes, and takes mouse and keys."""

import base64
import html
import json
import re

import numpy as np
import pytest
import torch
from browser import dom_of, needs_chromium
from own_data import SHAPES, write_tree
from PIL import Image

from stnlab.config import PROJECT_DIR, compose, identity, to_plain
from stnlab.data.image_batches import lay_out, normalise
from stnlab.data.mimic.synthetic import Settings, ensure_episodes
from stnlab.distortions import distort
from stnlab.errors import UserError
from stnlab.explore.__main__ import main
from stnlab.explore.network import floats
from stnlab.explore.page import MAX_BYTES, _spread, make_page
from stnlab.explore.runs import read_run, show
from stnlab.geometry.affine import similarity_theta
from stnlab.geometry.time import read_at
from stnlab.layers.network import build_network
from stnlab.run.run import train
from stnlab.task import Prediction
from stnlab.trained import Trained
from stnlab.warps.affine import Rotation

COMMITTED = PROJECT_DIR / "docs" / "explore-rot90.html"


def untrained(*overrides):
    """A network with weights that are anything but zero, so that thetas vary."""
    config = compose([*overrides])
    spec = config.dataset.spec()
    network = build_network(config, spec).eval().requires_grad_(False)
    rng = torch.Generator().manual_seed(1)
    for value in network.parameters():
        value.add_(torch.randn(value.shape, generator=rng), alpha=0.03)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(generator=rng)
            module.running_var.uniform_(0.5, 2, generator=rng)
    metrics = {"test": {"clean": {"accuracy": 0.5}}}
    return Trained(PROJECT_DIR, "last", config, spec, metrics, {}, network)


class Cases:
    """Test digits, turned, shifted and scaled, for the page and for torch."""

    def __init__(self, spec, num, dataset=None):
        images = (dataset or compose(["dataset=rot90"]).dataset).load().test.images
        rng = torch.Generator().manual_seed(0)
        self.spec, shape = spec, (num, spec.num_objects)
        images = images[torch.randperm(len(images), generator=rng)[: num * shape[1]]]
        self.images = images.view(*shape, *images.shape[1:])
        self.angle = 180 * (2 * torch.rand(shape, generator=rng) - 1)
        self.shift = 0.3 * (2 * torch.rand(*shape, 2, generator=rng) - 1)
        self.scale = 0.6 + torch.rand(shape, generator=rng)

    def plain(self):
        return [
            [
                {
                    "pixels": base64.b64encode(image.numpy().tobytes()).decode(),
                    "how": {"angle": angle.item(), "shift": shift.tolist(), "scale": scale.item()},
                }
                for image, angle, shift, scale in zip(*example, strict=True)
            ]
            for example in zip(self.images, self.angle, self.shift, self.scale, strict=True)
        ]

    def inputs(self, mean, std):
        height, width = self.images.shape[-2:]
        thetas = similarity_theta(
            *(self.angle.flatten(), self.shift.flatten(0, 1), self.scale.flatten()), width / height
        )
        pixels = normalise(distort(self.images.flatten(0, 1), thetas), mean, std)
        return lay_out(pixels.view(*self.images.shape), self.spec)


def computed(page, cases, folder):
    """What the page says: [run][epoch] to probabilities, thetas and views, (N, …) each."""
    asked = f'<script type="application/json" id="check">{json.dumps(cases.plain())}</script>'
    assert "<!-- check -->" in page
    dom = dom_of(page.replace("<!-- check -->", asked), folder)
    found = json.loads(html.unescape(re.search(r'<pre id="checked">(.*?)</pre>', dom, re.S)[1]))
    return [
        [
            [
                np.array([np.frombuffer(base64.b64decode(values), "<f4") for values in each])
                for each in zip(*of_epoch, strict=True)
            ]
            for of_epoch in of_run
        ]
        for of_run in found
    ]


def assert_same(found, prediction, label):
    probabilities, thetas, views = found
    torch.testing.assert_close(
        torch.from_numpy(probabilities), prediction.probabilities, atol=1e-4, rtol=0, msg=label
    )
    if prediction.theta is not None:
        theta = prediction.theta.flatten(1)
        torch.testing.assert_close(
            torch.from_numpy(thetas), theta, atol=1e-4, rtol=1e-4, msg=f"theta of {label}"
        )
    torch.testing.assert_close(
        torch.from_numpy(views), prediction.views.flatten(1), atol=1e-3, rtol=0, msg=label
    )


LINEAR = ["affine", "translation", "rotation", "similarity", "scale-translation", "tps"]
PAGES = {
    "single": [
        "dataset=rot90 model=cnn",
        "dataset=rot90 model=fcn",
        "dataset=rot90 model=stn-fcn warp=similarity model.localization.bound=0.5",
        *(f"dataset=RTS model=stn warp={warp}" for warp in LINEAR),
        "dataset=RTS model=stn warp=projective padding=border model.align_corners=false",
    ],
    "two-channel": [
        "dataset=two-channel model=cnn",
        "dataset=two-channel model=stn warp=rotation model.align_corners=false",
        "dataset=two-channel model=multi-stn padding=border",
        "dataset=two-channel model=multi-stn padding=black",
        "dataset=two-channel model=multi-stn model.localization.batch_norm=true",
    ],
    "canvas": [
        "dataset=jaderberg-rts model=stn padding=black",
        "dataset=jaderberg-rts model=stn warp=projective padding=black model.align_corners=false",
    ],
    "same-image": [
        "dataset=same-image model=stn warp=rotation",
        "dataset=same-image model=stn warp=similarity",
        "dataset=same-image model=multi-stn init=left-right",
        "dataset=same-image model=multi-stn warp=tps padding=border",
    ],
}


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_every_model_and_warp_computes_what_torch_computes(name, tmp_path):
    runs = [untrained(*overrides.split()) for overrides in PAGES[name]]
    page = make_page([show(run) for run in runs])
    cases = Cases(runs[0].spec, 20, runs[0].config.dataset)
    found = computed(page.html, cases, tmp_path)
    for run, overrides, (of_run,) in zip(runs, PAGES[name], found, strict=True):
        prediction = Prediction.of(run.network, cases.inputs(*run.mean_and_std))
        if prediction.theta is not None:
            assert prediction.theta.std(dim=0).min() > 1e-4
        assert_same(of_run, prediction, overrides)


@needs_chromium
def test_pictures_of_ones_own_in_colour(tmp_path):
    write_tree(tmp_path / "shapes", 10, 24, 30, channels=3)
    run = untrained(
        *("dataset=images", f"dataset.root={tmp_path / 'shapes'}", "dataset.name=shapes"),
        *("model=stn", "warp=rotation"),
    )
    run.preprocessing = {"mean": [0.2, 0.3, 0.4], "std": [0.5, 0.6, 0.7]}
    page = make_page([show(run)])
    assert embedded(page.html)["spec"]["classes"] == list(SHAPES)
    cases = Cases(run.spec, 3, run.config.dataset)
    ((of_run,),) = computed(page.html, cases, tmp_path)
    assert_same(of_run, Prediction.of(run.network, cases.inputs(*run.mean_and_std)), "shapes")


def embedded(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1]
    )


@needs_chromium
def test_the_committed_page_computes_what_torch_computes_on_200_digits(tmp_path):
    page = COMMITTED.read_text(encoding="utf-8")
    runs = embedded(page)["runs"]
    assert [(run["cell"], len(run["epochs"])) for run in runs] == [
        ("stn-identity-zeros", 11),
        ("cnn", 1),
    ]
    networks = [untrained("dataset=rot90", f"model={model}") for model in ("stn", "cnn")]
    cases = Cases(networks[0].spec, 200)
    found = computed(page, cases, tmp_path)
    for run, trained, of_run in zip(runs, networks, found, strict=True):
        for kept, of_epoch in zip(run["epochs"], of_run, strict=True):
            values = torch.tensor(np.frombuffer(base64.b64decode(kept["weights"]), "<f4"))
            torch.nn.utils.vector_to_parameters(values, trained.network.parameters())
            prediction = Prediction.of(trained.network, cases.inputs(run["mean"], run["std"]))
            assert_same(of_epoch, prediction, f"{run['cell']}, epoch {kept['epoch']}")


PRESS = """<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
window.requestAnimationFrame = (render) => setTimeout(render, 0);  // nothing is drawn here
const after = () => new Promise((done) => setTimeout(done, 100));
const press = (key, on = document.querySelector("#stage canvas")) => {
  on.focus();
  on.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
};
const say = () => ({
  sliders: [...document.querySelectorAll("#sliders output")].map((each) => each.textContent),
  verdicts: [...document.querySelectorAll(".verdict")].map((each) => each.textContent),
  drawing: document.getElementById("draw")?.getAttribute("aria-pressed"),
});
Element.prototype.setPointerCapture = () => {};  // it knows real fingers alone
const touch = (type, finger, x, y) => {  // x, y in pixels of the digit, from its centre
  const canvas = document.querySelector("#stage canvas"), box = canvas.getBoundingClientRect();
  const unit = box.width / (28 + 2 * 9);
  canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: finger, button: 0, bubbles: true,
    clientX: box.left + unit * (23 + x), clientY: box.top + unit * (23 + y),
  }));
};
const ink = () => {  // in what the CNN reads
  const canvas = document.querySelector(".view.plain canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, 28, 28).data;
  return pixels.reduce((sum, value, k) => sum + (k % 4 ? 0 : value), 0);
};
addEventListener("load", async () => {
  const told = {};
  await after();
  told.start = say();
  press("r");
  "3]]+".split("").forEach((key) => press(key));
  press("ArrowRight"); press("ArrowRight"); press("ArrowUp");
  await after();
  told.moved = say();
  press("r");
  touch("pointerdown", 1, 0, 0); touch("pointermove", 1, 3, -2); touch("pointerup", 1, 3, -2);
  await after();
  told.dragged = say();
  press("r");
  touch("pointerdown", 1, 0, -12.6); touch("pointermove", 1, -9, 0); touch("pointerup", 1, -9, 0);
  await after();
  told.byHandle = say();
  press("r");
  touch("pointerdown", 1, -5, 0); touch("pointerdown", 2, 5, 0);
  touch("pointermove", 2, -5, -12.5); touch("pointerup", 2, -5, -12.5);
  touch("pointerup", 1, -5, 0);
  await after();
  told.pinched = say();
  press("b");
  await after();
  told.blank = ink();
  press(" ");
  for (let k = 0; k < 9; k++) press("ArrowDown");
  await after();
  told.drawn = say();
  told.ink = ink();
  told.viewport = innerWidth;
  told.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  told.errors = errors;
  const pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify(told);
  parent.document.body.append(pre);
});
</script>"""


def pressing(steps):
    """A script with the same means that does something else."""
    return PRESS[: PRESS.index('  press("r");')] + steps + PRESS[PRESS.index("  told.viewport") :]


def played(page, script, width, folder):
    """What a script tells of a page of that width; a window itself has 500 pixels at least."""
    page = html.escape(page.replace("<!-- check -->", script))
    frame = f'<iframe width="{width}" height="900" srcdoc="{page}"></iframe>'
    dom = dom_of(frame, folder, "--window-size=1400,1000")
    told = json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.S)[1]))
    assert told["errors"] == []
    assert told["viewport"] == width
    assert told["wide"] <= 0
    return told


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_played_with_by_keys_and_by_pointers(tmp_path, width):
    runs = [untrained("dataset=rot90", f"model={model}") for model in ("stn", "cnn")]
    told = played(make_page([show(run) for run in runs]).html, PRESS, width, tmp_path)
    assert told["start"]["sliders"][0] == "60°"
    assert told["moved"]["sliders"] == ["−10°", "2 px", "−1 px", "× 1.05"]
    assert all(re.search("right$|wrong, truly 3$", said) for said in told["moved"]["verdicts"])
    assert told["dragged"]["sliders"] == ["0°", "3 px", "−2 px", "× 1.00"]
    assert told["byHandle"]["sliders"] == ["90°", "0 px", "0 px", "× 0.71"]
    assert told["pinched"]["sliders"] == ["90°", "0 px", "0 px", "× 1.25"]
    assert told["drawn"]["drawing"] == "true"
    assert all(re.search(r" %\)$", said) for said in told["drawn"]["verdicts"])
    assert told["blank"] == 0
    assert told["ink"] > 10 * 255


PRESS_OWN = """
  press("r"); press("2");
  await after();
  told.two = say();
  press("1");
  await after();
  told.one = say();
  told.example = ink();
  press("d"); press(" ");
  for (let k = 0; k < 9; k++) press("ArrowDown");
  await after();
  told.drawn = ink();
  press("b");
  await after();
  told.blank = ink();
"""


@needs_chromium
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_light", [True, False])
def test_ones_own_pictures_are_drawn_on_and_chosen_by_name(tmp_path, is_light, channels):
    root = tmp_path / "numbered"
    write_tree(root, 10, 28, 28, channels, classes=("1", "2"))
    for path in root.rglob("*.png") if is_light else ():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    run = untrained(
        *("dataset=images", f"dataset.root={root}", "dataset.name=numbered", "model=cnn"),
    )
    told = played(make_page([show(run)]).html, pressing(PRESS_OWN), 1280, tmp_path)
    assert re.search("says 1 .*: right$|wrong, truly 1$", told["one"]["verdicts"][0])
    assert re.search("says 2 .*: right$|wrong, truly 2$", told["two"]["verdicts"][0])
    assert told["blank"] == (255 * 28 * 28 if is_light else 0)
    ink = told["drawn"] - told["example"]
    assert (-ink if is_light else ink) > 5 * 255


def test_it_needs_no_network_and_is_small():
    page = COMMITTED.read_text(encoding="utf-8")
    assert len(page.encode()) <= MAX_BYTES
    assert not re.search(r"""(src|href)=["'](?!data:)|https?://|@import|fetch\(""", page)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A short run that has kept its epochs."""
    overrides = [
        *("dataset=rot90", "model=stn", "trainer.max_epochs=2", "trainer.limit_train_batches=2"),
        *("trainer.limit_val_batches=1", "trainer.limit_test_batches=1"),
        *("trainer.keep_epochs=true", "trainer.enable_progress_bar=false"),
    ]
    outputs = tmp_path_factory.mktemp("outputs")
    return train(compose([*overrides, f"output_dir={outputs}"])).path


def test_a_run_keeps_its_epochs(run_folder):
    run = read_run(run_folder)
    assert list(run.weights) == [0, 1, 2]
    start, first, last = run.weights.values()
    name = "transformer.localization.theta.weight"
    assert start[name].count_nonzero() == 0
    assert first[name].count_nonzero() > 0
    assert not torch.equal(first[name], last[name])
    kept = torch.load(run_folder / "checkpoints" / "epoch=2.ckpt", weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in last.items())
    assert (run_folder / "checkpoints" / "epoch=2.ckpt").stat().st_size < 130_000


def test_keeping_epochs_makes_no_other_run():
    keeps, does_not = (
        identity(to_plain(compose(["dataset=rot90", f"trainer.keep_epochs={value}"])))
        for value in ("true", "false")
    )
    assert keeps == does_not


def test_a_page_of_a_run(run_folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main([str(run_folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"page: {out} (0.6 MB)\n"
    data = embedded(out.read_text(encoding="utf-8"))
    assert [each["epoch"] for each in data["runs"][0]["epochs"]] == [0, 1, 2]
    assert data["runs"][0]["trained_on"] == {"rotation": 90.0, "translation": 0.0, "scale": 0.0}
    targets = [example["target"] for example in data["examples"]]
    assert targets == [target for target in range(10) for _ in range(5)]


def refused(capsys, *arguments):
    assert main([str(each) for each in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_it_cannot_show_is_refused(run_folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert "there is no such folder" in refused(capsys, tmp_path / "nothing", "--out", out)
    committed = PROJECT_DIR / "results" / "rot90" / "cnn" / "seed=0"
    line = refused(capsys, committed, "--out", out)
    assert "last.ckpt is not there" in line
    assert "a folder; name a file in it" in refused(capsys, run_folder, "--out", tmp_path)
    nowhere = tmp_path / "no" / "page.html"
    assert "there is no folder" in refused(capsys, run_folder, "--out", nowhere)
    assert not out.exists()


def test_an_unfinished_run_is_refused(run_folder, tmp_path, capsys):
    unfinished = tmp_path / "seed=0"
    unfinished.mkdir()
    (unfinished / "config.yaml").write_bytes((run_folder / "config.yaml").read_bytes())
    assert "not finished" in refused(capsys, unfinished, "--out", tmp_path / "page.html")


def test_an_epoch_of_another_network_is_refused(run_folder, tmp_path, capsys):
    place = run_folder / "checkpoints" / "epoch=1.ckpt"
    content = place.read_bytes()
    try:
        torch.save({"weight": torch.zeros(3)}, place)
        out = tmp_path / "page.html"
        assert "epoch=1.ckpt is of another network" in refused(capsys, run_folder, "--out", out)
        place.write_bytes(b"half")
        assert "epoch=1.ckpt is damaged" in refused(capsys, run_folder, "--out", out)
    finally:
        place.write_bytes(content)


def test_what_is_no_convolution_is_refused():
    with pytest.raises(UserError, match="the page cannot compute a Lstm: it shows model=stn"):
        show(untrained("dataset=mimic", "model=lstm"))
    with pytest.raises(UserError, match=r"reads the input at half its size .*\(model=stn-400k\)"):
        show(untrained("model=stn-400k"))


@pytest.fixture(scope="module")
def of_series(tmp_path_factory):
    """A network on synthetic episodes."""
    root = tmp_path_factory.mktemp("data") / "episodes"
    ensure_episodes(root, Settings(num_train=20, num_val=10, num_test=20))
    made = ["dataset.source=synthetic", "dataset.num_train=20", "dataset.num_val=10"]
    made += ["dataset.num_test=20", f"dataset.root={root}"]
    return lambda *overrides: untrained("dataset=mimic", *made, *overrides)


class SeriesCases:
    """Test series at another tempo, and later, for the page and for torch."""

    def __init__(self, series):
        rng = torch.Generator().manual_seed(0)
        self.series = series
        self.tempo = 0.5 + torch.rand(len(series), generator=rng)
        self.later = 20 * (2 * torch.rand(len(series), generator=rng) - 1)

    def plain(self):
        return [
            [{"series": floats(series), "how": {"tempo": tempo.item(), "later": later.item()}}]
            for series, tempo, later in zip(self.series, self.tempo, self.later, strict=True)
        ]

    def inputs(self):
        hours = torch.arange(48.0) - 23.5
        at = 23.5 + self.tempo[:, None] * (hours - self.later[:, None])
        return read_at(self.series, at, "border")


@needs_chromium
def test_networks_on_series_compute_what_torch_computes(of_series, tmp_path):
    runs = [
        of_series("model=ts-stn"),
        of_series("model=ts-stn", "padding=zeros", "model.align_corners=false"),
        of_series("model=cnn"),
        of_series("model=fcn"),
    ]
    page = make_page([show(run) for run in runs])
    assert page.notes == []
    assert "trained on mimic-synthetic" in page.html
    cases = SeriesCases(runs[0].config.dataset.load().test.x)
    found = computed(page.html, cases, tmp_path)
    for run, (of_run,) in zip(runs, found, strict=True):
        prediction = Prediction.of(run.network, cases.inputs())
        assert_same(of_run, prediction, run.config.model.name)


PRESS_SERIES = pressing("""
  press("+"); press("ArrowRight"); press("1");
  const select = document.getElementById("variable");
  select.value = 1;
  select.dispatchEvent(new Event("change"));
  await after();
  told.moved = say();
""")


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_series_are_played_with(of_series, tmp_path, width):
    page = make_page([show(of_series(f"model={model}")) for model in ("ts-stn", "cnn")]).html
    told = played(page, PRESS_SERIES, width, tmp_path)
    assert told["start"]["sliders"] == ["× 1.00", "0"]
    assert told["moved"]["sliders"] == ["× 1.05", "1"]
    verdicts = told["moved"]["verdicts"]
    assert all(re.search("right$|wrong, truly died$", said) for said in verdicts)


PRESS_NUMBERED = """
  let words = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
    words.push([text, x - this.measureText(text).width]);
    write.call(this, text, x, ...rest);
  };
  press("1");
  await after();
  told.one = say();
  press("2");
  await after();
  told.two = say();
  const select = document.getElementById("variable");
  told.axes = {};
  for (const option of select.options) {
    words = [];
    select.value = option.value;
    select.dispatchEvent(new Event("change"));
    await after();
    told.axes[option.textContent] = words.slice(0, 3);  // upwards; where the word begins
  }
"""


@needs_chromium
def test_axes_of_ones_own_series_tell_values_apart_and_keys_go_by_name(tmp_path):
    wave = np.arange(40) % 2 * np.ones((40, 1))  # (N, steps), between 0 and 1
    columns = {
        "pH": 7.36 + 0.08 * wave,
        "small": -0.002 + 0.001 * wave,
        "flow": 6 * wave,
        "large": 80 + 40 * wave,
        "constant": np.full_like(wave, 7.4),
    }
    labels = np.array(["1", "2"])[np.arange(40) % 2]
    root = tmp_path / "numbered"
    root.mkdir()
    x = np.stack([*columns.values()], axis=1)
    np.savez(root / "x.npz", x=x, y=labels, columns=[*columns])
    run = untrained("dataset=series", f"dataset.root={root}", "dataset.name=numbered", "model=cnn")
    told = played(make_page([show(run)]).html, pressing(PRESS_NUMBERED), 1280, tmp_path)
    assert re.search("says 1 .*: right$|wrong, truly 1$", told["one"]["verdicts"][0])
    assert re.search("says 2 .*: right$|wrong, truly 2$", told["two"]["verdicts"][0])
    assert {name: [text for text, _ in axis] for name, axis in told["axes"].items()} == {
        "pH": ["7.36", "7.40", "7.44"],
        "small": ["−0.0020", "−0.0015", "−0.0010"],
        "flow": ["−0.2", "3.0", "6.2"],
        "large": ["79", "100", "121"],
        "constant": ["6.6", "7.4", "8.2"],
    }
    assert all(begins >= 0 for axis in told["axes"].values() for _, begins in axis)


def test_a_warp_that_is_not_linear_needs_its_matrix():
    class Twist(Rotation):
        matrix_in_javascript = None

    trained = untrained("dataset=rot90", "model=stn", "warp=rotation")
    trained.network.transformer.warp = Twist()
    with pytest.raises(UserError, match=r"is not linear in theta.*Twist.matrix_in_javascript"):
        show(trained)


def test_runs_on_one_page_read_the_same_inputs():
    runs = [show(untrained(f"dataset={name}", "model=cnn")) for name in ("rot90", "two-channel")]
    with pytest.raises(UserError, match=r"reads 1 × 28 × 28 .* reads 2 × 28 × 28.*page for each"):
        make_page(runs)


def test_many_epochs_are_thinned_out():
    assert _spread([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 4) == [0, 3, 7, 10]
    assert _spread([0, 5, 9], 1) == [9]
    run = show(untrained("dataset=rot90", "model=stn"))
    many = type(run)(run.trained, run.spec, run.network, dict.fromkeys(range(50), run.weights[10]))
    page = make_page([many])
    assert "of 50 epochs are shown" in page.notes[0]
    assert MAX_BYTES - 300_000 < len(page.html.encode()) <= MAX_BYTES
    epochs = [each["epoch"] for each in embedded(page.html)["runs"][0]["epochs"]]
    assert (epochs[0], epochs[-1]) == (0, 49)

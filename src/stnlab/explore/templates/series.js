const [numSteps] = spec.size;
const centre = (numSteps - 1) / 2;
const STRAIGHT = { tempo: 1, later: 0 };
const TEMPI = [0.4, 2.5];

// --- what is shown: a series, and what was done to its time

const objects = [{ image: null, target: null, how: { ...STRAIGHT } }],
  active = 0;
const shownVariable = spec.variables.findIndex(({ name }) => name === spec.shown);
let variable = Math.max(0, shownVariable);

function exampleImage({ series }) {
  return { data: engine.floats(series), shape: [spec.channels, 1, numSteps] };
}

function choose(target) {
  const example = nextExample(target);
  if (!example) return;
  Object.assign(objects[0], { image: exampleImage(example), target });
  update();
}

const truth = () => objects[0].target;

function compute(run, [{ image, how }]) {
  return engine.run(run.ready, weightsOf(run), engine.distortTime(image, how));
}

function move(change) {
  const how = { ...objects[0].how, ...change };
  objects[0].how = {
    tempo: clamp(how.tempo, ...TEMPI),
    later: clamp(how.later, -numSteps / 2, numSteps / 2),
  };
  update();
}

// --- the input and the views, as lines of one variable over time

const stage = element("canvas", {
  role: "img",
  tabIndex: 0,
  "aria-label": "Input",
  "aria-describedby": "keys",
});
stage.style.aspectRatio = "3 / 2";
byId("stage").append(stage);
document.querySelector("main").classList.add("wide");

function fit() {
  const pixels = Math.round((stage.clientWidth || 320) * (window.devicePixelRatio || 1));
  if (pixels === stage.width) return;
  stage.width = pixels;
  stage.height = Math.round((2 * pixels) / 3);
}

function valuesOf(series) {
  const {
    channel,
    scale: [mean, std],
  } = spec.variables[variable];
  const values = series.data.subarray(channel * numSteps, (channel + 1) * numSteps);
  return Array.from(values, (value) => value * std + mean);
}

// The lowest and the highest value of the example as it is, so that charts do not jump.
function rangeOf() {
  const values = valuesOf(objects[0].image),
    room = (Math.max(...values) - Math.min(...values)) / 6 || 1;
  return [Math.min(...values) - room, Math.max(...values) + room];
}

function chart(canvas, values, [low, high], moments) {
  const context = canvas.getContext("2d"),
    { width, height } = canvas,
    text = height / 20;
  context.font = `${text}px system-ui, sans-serif`;
  const span = high - low || 1;
  const digits = clamp(1 - Math.floor(Math.log10(span)), 0, 6);
  const marks = [0.1, 0.5, 0.9].map((share) => low + share * span);
  const widest = Math.max(
    ...marks.map((value) => context.measureText(reads(value, digits)).width),
  );
  const left = Math.max(3.4 * text, widest + 0.8 * text),
    below = 1.8 * text;
  const x = (step) => left + ((width - left - text) * step) / (numSteps - 1);
  const y = (value) => (height - below) * (1 - (clamp(value, low, high) - low) / span);
  context.clearRect(0, 0, width, height);
  context.fillStyle = context.strokeStyle = "#c6ccd4";
  context.lineWidth = Math.max(1, height / 300);
  context.textBaseline = "middle";
  for (const value of marks) {
    context.globalAlpha = 0.35;
    context.strokeRect(left, y(value), width - left - text, 0);
    context.globalAlpha = 1;
    context.textAlign = "right";
    context.fillText(reads(value, digits), left - 0.4 * text, y(value));
  }
  for (const share of [0, 0.5, 1]) {
    const step = Math.round(share * (numSteps - 1));
    context.textAlign = share === 1 ? "right" : "center";
    context.fillText(share === 1 ? `${step} ${spec.unit}` : step, x(step), height - below / 2);
  }
  context.lineJoin = "round";
  moments?.forEach((at, step) => {
    if (at < 0 || at > numSteps - 1) return;
    context.beginPath();
    context.moveTo(x(at), 0);
    context.lineTo(x(at), height - below);
    context.strokeStyle = step ? "#58b4ff" : "#ff9433";
    context.globalAlpha = step ? 0.5 : 1;
    context.lineWidth = height / (step ? 300 : 80);
    context.stroke();
  });
  context.globalAlpha = 1;
  context.beginPath();
  values.forEach((value, step) =>
    step ? context.lineTo(x(step), y(value)) : context.moveTo(x(step), y(value)),
  );
  context.strokeStyle = "#fff";
  context.lineWidth = height / 110;
  context.stroke();
}

const momentsOf = (grid) =>
  Array.from(grid.subarray(0, numSteps), (x) => ((x + 1) / 2) * (numSteps - 1));

function paintInput(results) {
  const moments = results[gridOf].grids.length ? momentsOf(results[gridOf].grids[0]) : null;
  const shown = moments && moments.map((at, step) => (step % 3 ? -1 : at));
  chart(stage, valuesOf(engine.distortTime(objects[0].image, objects[0].how)), rangeOf(), shown);
}

function paintViews({ run, views, glance }, result) {
  const canvas = element("canvas", { width: 480, height: 320, role: "img" });
  canvas.setAttribute("aria-label", `What the network reads of ${spec.variables[variable].name}`);
  chart(canvas, valuesOf(result.views[0]), rangeOf());
  views.classList.add("chart");
  views.replaceChildren(canvas, element("figcaption", {}, "what it reads"));
  glance.replaceChildren();
}

// --- controls

const select = element("select", { id: "variable" });
spec.variables.forEach(({ name }, k) => select.append(element("option", { value: k }, name)));
select.value = variable;
select.addEventListener("change", () => {
  variable = Number(select.value);
  update();
});
byId("variables").append(element("label", { htmlFor: "variable" }, "Variable "), select);
byId("reset").addEventListener("click", () => move(STRAIGHT));

const untold = { trained: Infinity, from: () => 0, words: () => "" };
const SLIDERS = [
  {
    name: "Tempo",
    min: TEMPI[0],
    max: TEMPI[1],
    step: 0.05,
    read: (how) => how.tempo,
    write: (tempo) => ({ tempo }),
    show: (value) => `× ${reads(value, 2)}`,
    spoken: (value) => `times ${reads(value, 2)}`,
    ...untold,
  },
  {
    name: "Later",
    min: -Math.floor(numSteps / 2),
    max: Math.floor(numSteps / 2),
    step: 1,
    read: (how) => how.later,
    write: (later) => ({ later }),
    show: (value) => reads(value),
    spoken: (value) => `${reads(value)} ${spec.unit}`,
    ...untold,
  },
];

document.addEventListener("keydown", (event) => {
  const { target, key } = event,
    { how } = objects[0];
  if (target !== document.body && target !== stage) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "ArrowLeft" || key === "ArrowRight")
    move({ later: how.later + (key === "ArrowLeft" ? -1 : 1) });
  else if (key === "+" || key === "=") move({ tempo: how.tempo + 0.05 });
  else if (key === "-" || key === "−") move({ tempo: how.tempo - 0.05 });
  else if (/^[0-9]$/.test(key)) choose(classOfKey(key));
  else if (key === "r") move(STRAIGHT);
  else return;
  event.preventDefault();
});

// --- what a card tells

const TABLE = {
  caption: `By you, by the warp and by both: the course's tempo, and how many ${spec.unit} later its middle is`,
  columns: ["tempo", "later"],
};

// A tempo and a shift are an affine map of time: output step t, from the middle, reads a t + b.
function rowsOf({ grids: [grid] }) {
  const { tempo, later } = objects[0].how;
  const moments = momentsOf(grid).map((at) => at - centre);
  const squares = moments.reduce((sum, _, t) => sum + (t - centre) ** 2, 0);
  const a = moments.reduce((sum, at, t) => sum + at * (t - centre), 0) / squares;
  const b = moments.reduce((sum, at) => sum + at, 0) / numSteps;
  const told = (name, by, shift) => [
    name,
    `× ${reads(by, 2)}`,
    Number.isFinite(shift) ? reads(shift, 1) : "–",
  ];
  return [
    told("you", tempo, later),
    told("warp", a, -b / a),
    told("both", tempo * a, (later - b) / a),
  ];
}

function start() {
  choose(examples.at(-1).target);
}

const { spec, examples, runs } = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);
const reads = (number, digits = 0) =>
  number
    .toFixed(digits)
    .replace(/^-(0(\.0*)?)$/, "$1")
    .replace("-", "−");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && !name.startsWith("aria-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const percent = (share) => `${reads(100 * share, 1)} %`;

for (const run of runs) {
  run.ready = engine.prepare(run.network);
  run.at = run.epochs.length - 1;
}

function weightsOf(run) {
  const kept = run.epochs[run.at];
  kept.floats ??= engine.floats(kept.weights);
  return kept.floats;
}

// The class that a digit key names; else the one at that place.
const classOfKey = (key) =>
  spec.classes.includes(key) ? spec.classes.indexOf(key) : Number(key);

// A class's examples one after the other, and again from the first; none of an unknown class.
const chosen = new Map(); // class to how often it was chosen
function nextExample(target) {
  const ofClass = examples.filter((example) => example.target === target);
  const times = chosen.get(target) ?? 0;
  chosen.set(target, times + 1);
  return ofClass[times % ofClass.length];
}

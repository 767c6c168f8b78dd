// --- controls

for (const target of new Set(examples.map((example) => example.target))) {
  const button = element(
    "button",
    { type: "button" },
    spec.num_objects > 1 ? String(target) : spec.classes[target],
  );
  button.addEventListener("click", () => choose(target));
  byId("classes").append(button);
}
const labels = [...byId("classes").children].map((button) => button.textContent);
byId("classes").classList.toggle(
  "few",
  labels.length <= 10 && labels.every((label) => label.length < 3),
);
SLIDERS.forEach((slider, k) => {
  const { min, max, step } = slider,
    id = `slider-${k}`;
  slider.input = element("input", { type: "range", id, min, max, step });
  slider.output = element("output", { htmlFor: id });
  slider.row = element(
    "div",
    { className: "slider" },
    element("label", { htmlFor: id }, slider.name),
    slider.input,
    slider.output,
  );
  if (Number.isFinite(slider.trained)) {
    slider.row.append(
      element(
        "span",
        { className: "note" },
        slider.trained ? `trained on ${slider.words(slider.trained)}` : "not varied in training",
      ),
    );
  }
  slider.input.addEventListener("input", () =>
    move(slider.write(Number(slider.input.value), objects[active].how)),
  );
  byId("sliders").append(slider.row);
});

function paintSliders() {
  for (const { input, output, row, read, show, spoken, trained, from } of SLIDERS) {
    const value = read(objects[active].how);
    input.value = value;
    output.textContent = show(value);
    input.setAttribute("aria-valuetext", spoken(value));
    row.classList.toggle("beyond", from(value) > trained + 1e-6);
  }
}

// --- a card for each network

let gridOf = Math.max(
  0,
  runs.findIndex((run) => run.network.transformer),
);
const manyTransformers = runs.filter((run) => run.network.transformer).length > 1;
const sameDataset = new Set(runs.map((run) => run.dataset)).size === 1;

const cards = runs.map((run, index) => {
  const { transformer } = run.network;
  const title = [
    run.cell,
    ...(sameDataset ? [] : [run.dataset]),
    ...(runs.filter((other) => other.cell === run.cell && other.dataset === run.dataset).length > 1
      ? [`seed ${run.seed}`]
      : []),
  ].join(", ");
  const tests = Object.entries(run.accuracy).map(
    ([part, accuracy]) => `${percent(accuracy)} of ${part}`,
  );
  const about = [
    transformer ? `${run.warp} warp` : "reads the input as it is",
    ...(run.auroc ? [`AUROC ${reads(run.auroc, 3)}`] : []),
    ...(tests.length ? [`right on ${tests.join(", ")} test examples`] : []),
  ].join("; ");
  const views = element("figure", { className: transformer ? "view" : "view plain" });
  const bars = spec.classes.map((name) => {
    const fill = element("span", { className: "fill" }),
      share = element("span", { className: "share" });
    const row = element(
      "li",
      {},
      element("span", {}, name),
      element("span", { className: "track" }, fill),
      share,
    );
    return { row, fill, share };
  });
  const verdict = element("p", { className: "verdict" }),
    body = element("tbody"),
    thetas = element("tbody");
  const card = element(
    "article",
    { className: "network" },
    element(
      "div",
      {},
      element("h2", {}, `${transformer ? "Transformer" : "No transformer"}: ${title}`),
      element("p", { className: "about" }, about),
    ),
    verdict,
    element(
      "div",
      { className: "row" },
      views,
      element(
        "ul",
        { className: "bars", "aria-label": `Probabilities, ${title}` },
        ...bars.map(({ row }) => row),
      ),
    ),
  );
  const glance = element("span");
  byId("glance").append(glance);
  if (run.epochs.length > 1) card.append(epochSlider(run, index));
  if (transformer) {
    card.append(
      element(
        "table",
        {},
        element("caption", {}, TABLE.caption),
        element(
          "thead",
          {},
          element(
            "tr",
            {},
            ...["", ...TABLE.columns].map((name) =>
              element(
                "th",
                { scope: "col" },
                name || element("span", { className: "visually-hidden" }, "whose"),
              ),
            ),
          ),
        ),
        body,
      ),
      element("details", {}, element("summary", {}, "theta"), element("table", {}, thetas)),
    );
    if (manyTransformers) {
      const button = element(
        "button",
        { type: "button", "aria-pressed": index === gridOf },
        "Draw its grid over the input",
      );
      button.addEventListener("click", () => {
        gridOf = index;
        cards.forEach((other, k) => other.button?.setAttribute("aria-pressed", k === index));
        update();
      });
      card.append(button);
      byId("networks").append(card);
      return { run, title, views, bars, verdict, body, thetas, glance, button };
    }
  }
  byId("networks").append(card);
  return { run, title, views, bars, verdict, body, thetas, glance };
});

function epochSlider(run, index) {
  const id = `epoch-${index}`;
  const input = element("input", {
    type: "range",
    id,
    min: 0,
    max: run.epochs.length - 1,
    step: 1,
  });
  const output = element("output", { htmlFor: id });
  const show = () => {
    const { epoch } = run.epochs[run.at];
    output.textContent = epoch ? `${epoch} of ${run.num_epochs}` : "start";
    input.setAttribute(
      "aria-valuetext",
      epoch ? `epoch ${epoch} of ${run.num_epochs}` : "before training",
    );
  };
  input.value = run.at;
  input.addEventListener("input", () => {
    run.at = Number(input.value);
    show();
    update();
  });
  show();
  return element(
    "div",
    { className: "slider" },
    element("label", { htmlFor: id }, "Epochs"),
    input,
    output,
  );
}

function paintCard(card, result) {
  const { run, bars, verdict, body, thetas } = card,
    { transformer } = run.network;
  paintViews(card, result);

  const said = result.probabilities.indexOf(Math.max(...result.probabilities)),
    right = truth();
  bars.forEach(({ row, fill, share }, k) => {
    const part = result.probabilities[k];
    fill.style.width = `${100 * part}%`;
    share.textContent = percent(part);
    row.className = k === said ? "said" : "";
  });
  const isWrong = right !== null && right !== said;
  card.glance.append(
    `${run.model} says ${spec.classes[said]}${right === null ? "" : isWrong ? " ✗" : " ✓"}`,
  );
  card.said = `${spec.classes[said]} (${percent(result.probabilities[said])})`;
  verdict.textContent = `says ${card.said}${right === null ? "" : isWrong ? `: wrong, truly ${spec.classes[right]}` : ": right"}`;
  verdict.classList.toggle("wrong", isWrong);

  if (!transformer) return;
  body.replaceChildren(
    ...rowsOf(result, transformer).map(([name, ...values]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, name),
        ...values.map((value) => element("td", {}, value)),
      ),
    ),
  );
  const named = result.thetas.flatMap((theta, view) =>
    transformer.names.map((name, k) => [
      result.thetas.length > 1 ? `${name}, view ${view + 1}` : name,
      reads(theta[k], 3),
    ]),
  );
  thetas.replaceChildren(
    ...named.map(([name, value]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)),
    ),
  );
}

// --- all of it, once a frame

let isDue = false,
  speaking = null;

function update() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(render);
}

function render() {
  isDue = false;
  const results = runs.map((run) => compute(run, objects));
  paintInput(results);
  paintSliders();
  cards.forEach((card, k) => paintCard(card, results[k]));
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    byId("spoken").textContent = cards.map(({ title, said }) => `${title} says ${said}`).join("; ");
  }, 700);
}

// What a test asks for, of inputs that it has put into the page.
function check(cases) {
  const base64 = (values) =>
    btoa(String.fromCharCode(...new Uint8Array(Float32Array.from(values).buffer)));
  return runs.map((run) =>
    run.epochs.map((_, at) => {
      run.at = at;
      return cases.map((shown) => {
        const result = compute(
          run,
          shown.map(({ how, ...example }) => ({ image: exampleImage(example), how })),
        );
        return [
          result.probabilities,
          result.thetas.flat(),
          result.views.flatMap((view) => [...view.data]),
        ].map(base64);
      });
    }),
  );
}

if (byId("check")) {
  byId("data").remove();
  document.body.replaceChildren(
    element("pre", { id: "checked" }, JSON.stringify(check(JSON.parse(byId("check").textContent)))),
  );
} else {
  start();
  const show = () => {
    fit();
    render();
  };
  show();
  addEventListener("resize", show);
}

const [objectHeight, objectWidth] = spec.object_size;
const haveChannels =
  spec.num_objects > 1 && objectWidth === spec.size[1] && objectHeight === spec.size[0];
const objectChannels = haveChannels ? spec.channels / spec.num_objects : spec.channels;
const side = Math.max(objectHeight, objectWidth);
const margin = Math.ceil(0.3 * side);
const STRAIGHT = { angle: 0, shift: [0, 0], scale: 1 };
const SCALES = [0.4, 1.8];
const VIEW_COLOURS = ["#58b4ff", "#d9a6ff"];

// --- what is shown: an object each, with where it came from and what was done to it

// One's own pictures may be dark on light: then the median pixel of their borders is light.
const borders = examples.flatMap(({ pixels }) =>
  Array.from(engine.bytes(pixels)).filter((_, at) => {
    const row = Math.floor(at / objectWidth) % objectHeight,
      column = at % objectWidth;
    return [0, objectHeight - 1].includes(row) || [0, objectWidth - 1].includes(column);
  }),
);
const isDarkOnLight = Uint8Array.from(borders).sort()[borders.length >> 1] > 127;

function blankImage() {
  const data = new Float32Array(objectChannels * objectHeight * objectWidth);
  return {
    data: data.fill(isDarkOnLight ? 255 : 0),
    shape: [objectChannels, objectHeight, objectWidth],
  };
}

function exampleImage(example) {
  const image = blankImage();
  image.data.set(engine.bytes(example.pixels));
  return image;
}

const objects = Array.from({ length: spec.num_objects }, () => ({
  image: blankImage(),
  target: null,
  how: { ...STRAIGHT },
}));
let active = 0,
  drawing = false;
const pen = { x: 0, y: 0, isDown: false, isShown: false };

function choose(target) {
  const example = nextExample(target);
  if (!example) return;
  Object.assign(objects[active], { image: exampleImage(example), target });
  update();
}

function truth() {
  if (objects.some(({ target }) => target === null)) return null;
  return spec.is_sum ? objects.reduce((sum, { target }) => sum + target, 0) : objects[0].target;
}

function compute(run, shown) {
  const parts = shown.map(({ image, how }) =>
    engine.normalise(engine.distort(image, how), run.mean, run.std),
  );
  return engine.run(run.ready, weightsOf(run), engine.layOut(parts, spec.size));
}

// --- the input: a canvas, or one for each object that has channels of its own

const stages = (haveChannels ? objects : [null]).map((_, k) => {
  const [height, width] = spec.size;
  const canvas = element("canvas", {
    tabIndex: 0,
    role: "application",
    "aria-roledescription": "picture to move",
    "aria-label": haveChannels ? `Input ${k + 1}` : "Input",
    "aria-describedby": "keys",
  });
  const stage = { canvas, unit: 8, width, height, first: haveChannels ? k : 0 };
  canvas.style.aspectRatio = `${width + 2 * margin} / ${height + 2 * margin}`;
  byId("stage").append(canvas);
  return stage;
});
if (spec.size[1] > side || haveChannels) document.querySelector("main").classList.add("wide");

function fit() {
  for (const stage of stages) {
    const across = stage.width + 2 * margin,
      down = stage.height + 2 * margin;
    const wanted = stage.canvas.clientWidth || 320;
    const pixels = Math.round(wanted * (window.devicePixelRatio || 1));
    if (pixels === stage.canvas.width) continue;
    stage.unit = pixels / across;
    stage.canvas.width = pixels;
    stage.canvas.height = Math.round(stage.unit * down);
  }
}

function picture(data, height, width) {
  const canvas = element("canvas", { width, height }),
    context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height),
    count = height * width;
  const isColour = data.length === 3 * count;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = data[(isColour ? c * count : 0) + i];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function copy(canvas) {
  const made = element("canvas", { width: canvas.width, height: canvas.height });
  made.getContext("2d").drawImage(canvas, 0, 0);
  return made;
}

// Where an object's centre lies on its stage, in pixels.
function centreOf(object) {
  const place = haveChannels || spec.num_objects === 1 ? 0 : object;
  return [(place + 0.5) * objectWidth, 0.5 * objectHeight];
}

function handleOf(object) {
  const { angle, shift, scale } = objects[object].how,
    [x, y] = centreOf(object);
  const turn = (angle * Math.PI) / 180,
    reach = 0.45 * side * scale;
  return [
    x + shift[0] * objectWidth - reach * Math.sin(turn),
    y + shift[1] * objectWidth - reach * Math.cos(turn),
  ];
}

function paintInput(results) {
  const images = objects.map(({ image, how }) => engine.distort(image, how));
  stages.forEach((stage, k) => {
    const context = stage.canvas.getContext("2d"),
      { unit, height, width } = stage;
    const shown = haveChannels ? images[k] : engine.layOut(images, spec.size);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, stage.canvas.width, stage.canvas.height);
    context.setTransform(unit, 0, 0, unit, margin * unit, margin * unit);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture(shown.data, height, width), 0, 0, width, height);
    const run = runs[gridOf],
      result = results[gridOf];
    if (run?.network.transformer) {
      result.grids.forEach((grid, view) => {
        if (run.network.transformer.per_channel && view !== k) return;
        paintGrid(context, grid, run.network.transformer, stage, VIEW_COLOURS[view % 2]);
      });
    }
    const mine = objects.map((_, o) => o).filter((o) => !haveChannels || o === k);
    for (const object of mine.filter((o) => o === active)) paintHandle(context, object);
    if (drawing && pen.isShown && (!haveChannels || k === active)) {
      const ink = isDarkOnLight ? "#000" : "#fff";
      circle(context, [pen.x, pen.y], 1.2, pen.isDown ? ink : "transparent");
    }
  });
}

function circle(context, [x, y], radius, fill) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 0.55;
  context.strokeStyle = "#000";
  context.stroke();
  context.lineWidth = 0.3;
  context.strokeStyle = "#fff";
  context.stroke();
}

function paintHandle(context, object) {
  if (drawing) return;
  const [x, y] = handleOf(object);
  const low = [0.8 - margin, stages[0].width + margin - 0.8, stages[0].height + margin - 0.8];
  circle(context, [clamp(x, low[0], low[1]), clamp(y, low[0], low[2])], side / 26, "#f3f4f6");
}

function paintGrid(context, grid, transformer, stage, colour) {
  const [rows, columns] = transformer.size,
    count = rows * columns;
  const lost = transformer.align_corners ? 1 : 0;
  const to = (value, length) => ((value + 1) / 2) * (length - lost) + lost / 2;
  const point = (i, j) => {
    const at = i * columns + j;
    return [
      clamp(to(grid[at], stage.width), -999, 999),
      clamp(to(grid[count + at], stage.height), -999, 999),
    ];
  };
  const lines = [];
  const every = Math.max(1, Math.round((side - 1) / 9));
  for (let i = 0; i < rows; i += every)
    lines.push(Array.from({ length: columns }, (_, j) => point(i, j)));
  for (let j = 0; j < columns; j += every)
    lines.push(Array.from({ length: rows }, (_, i) => point(i, j)));
  const edge = (i, j) =>
    Array.from({ length: i === null ? rows : columns }, (_, k) =>
      i === null ? point(k, j) : point(i, k),
    );
  const outline = [edge(null, 0), edge(rows - 1, null), edge(null, columns - 1)];
  const trace = (path) => {
    context.beginPath();
    path.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
  };
  const thin = side / 28;
  context.lineCap = "round";
  const passes = [
    [lines, 0.12 * thin, colour, 0.75],
    [outline, 0.55 * thin, "#000", 0.8],
    [outline, 0.3 * thin, colour, 1],
    [[edge(0, null)], 1.1 * thin, "#000", 0.8],
    [[edge(0, null)], 0.7 * thin, "#ff9433", 1],
  ];
  for (const [paths, lineWidth, strokeStyle, globalAlpha] of passes) {
    Object.assign(context, { lineWidth, strokeStyle, globalAlpha });
    paths.forEach(trace);
  }
  context.globalAlpha = 1;
}

// --- moving and drawing

function move(change) {
  const { how } = objects[active];
  const wrapped = (((((change.angle ?? how.angle) + 180) % 360) + 360) % 360) - 180;
  objects[active].how = {
    angle: change.angle === 180 ? 180 : wrapped,
    shift: (change.shift ?? how.shift).map((value) => clamp(value, -0.5, 0.5)),
    scale: clamp(change.scale ?? how.scale, ...SCALES),
  };
  update();
}

// A soft dot on the object itself, at a point of the stage: under what was done to it.
function stamp(x, y) {
  const object = objects[active],
    [cx, cy] = centreOf(active);
  const u = (x - cx) / (objectWidth / 2),
    v = (y - cy) / (objectHeight / 2);
  const [first, second] = engine.similarity(object.how, objectWidth / objectHeight);
  const px = ((first[0] * u + first[1] * v + first[2] + 1) * objectWidth - 1) / 2;
  const py = ((second[0] * u + second[1] * v + second[2] + 1) * objectHeight - 1) / 2;
  const reach = side / 28;
  for (let row = 0; row < objectHeight; row++) {
    for (let column = 0; column < objectWidth; column++) {
      const ink = 255 * clamp(1.7 - Math.hypot(column - px, row - py) / reach, 0, 1);
      for (let c = 0; c < objectChannels; c++) {
        const at = (c * objectHeight + row) * objectWidth + column,
          before = object.image.data[at];
        object.image.data[at] = isDarkOnLight
          ? Math.min(before, 255 - ink)
          : Math.max(before, ink);
      }
    }
  }
  object.target = null;
}

function stroke(from, to) {
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
  for (let k = 1; k <= steps; k++) {
    stamp(from[0] + ((to[0] - from[0]) * k) / steps, from[1] + ((to[1] - from[1]) * k) / steps);
  }
  update();
}

const fingers = new Map();
let drag = null;

function pointOn(stage, event) {
  const box = stage.canvas.getBoundingClientRect();
  const unit = box.width / (stage.width + 2 * margin);
  return [(event.clientX - box.left) / unit - margin, (event.clientY - box.top) / unit - margin];
}

function beginDrag(points) {
  const { how } = objects[active];
  drag = { points, how: { ...how, shift: [...how.shift] }, byHandle: false };
}

for (const stage of stages) {
  stage.canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const point = pointOn(stage, event);
    stage.canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, point);
    if (fingers.size === 1) {
      const near = (object) =>
        Math.hypot(...handleOf(object).map((value, axis) => value - point[axis])) < side / 10;
      const onHandle = !drawing && near(active) && (!haveChannels || stage.first === active);
      if (!onHandle)
        activate(
          haveChannels
            ? stage.first
            : clamp(Math.floor(point[0] / objectWidth), 0, spec.num_objects - 1),
        );
      beginDrag([point]);
      drag.byHandle = onHandle;
      pen.isShown = false;
      if (drawing) stroke(point, point);
    } else {
      beginDrag([...fingers.values()]);
    }
  });
  stage.canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId) || !drag) return;
    const before = fingers.get(event.pointerId),
      point = pointOn(stage, event);
    fingers.set(event.pointerId, point);
    if (drawing) return stroke(before, point);
    const { how, points } = drag;
    if (fingers.size > 1 && points.length > 1) {
      const between = ([[ax, ay], [bx, by]]) => [bx - ax, by - ay];
      const [was, is] = [between(points), between([...fingers.values()])];
      const turned = Math.atan2(was[1], was[0]) - Math.atan2(is[1], is[0]);
      move({
        angle: how.angle + (turned * 180) / Math.PI,
        scale: (how.scale * Math.hypot(...is)) / Math.hypot(...was),
      });
    } else if (drag.byHandle) {
      const [cx, cy] = centreOf(active);
      const x = point[0] - cx - how.shift[0] * objectWidth,
        y = point[1] - cy - how.shift[1] * objectWidth;
      move({
        angle: (Math.atan2(-x, -y) * 180) / Math.PI,
        scale: Math.hypot(x, y) / (0.45 * side),
      });
    } else {
      const along = [0, 1].map(
        (axis) => how.shift[axis] + (point[axis] - points[0][axis]) / objectWidth,
      );
      move({ shift: along });
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.canvas.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size) beginDrag([...fingers.values()]);
      else drag = null;
    });
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const isMine = target === document.body || byId("input").contains(target);
  if (!isMine || event.ctrlKey || event.metaKey || event.altKey) return;
  const onCanvas = target.tagName === "CANVAS" || target === document.body;
  const { how } = objects[active];
  if (event.key in ARROWS) {
    if (!onCanvas) return;
    const [right, down] = ARROWS[event.key];
    if (drawing) movePen(right, down);
    else move({ shift: [how.shift[0] + right / objectWidth, how.shift[1] + down / objectWidth] });
  } else if (event.key === " " && drawing && target.tagName === "CANVAS") {
    pen.isDown = !pen.isDown;
    movePen(0, 0);
  } else if (event.key === "[") move({ angle: how.angle + 5 });
  else if (event.key === "]") move({ angle: how.angle - 5 });
  else if (event.key === "+" || event.key === "=") move({ scale: how.scale + 0.05 });
  else if (event.key === "-" || event.key === "−") move({ scale: how.scale - 0.05 });
  else if (/^[0-9]$/.test(event.key)) choose(classOfKey(event.key));
  else if (event.key === "d") setDrawing(!drawing);
  else if (event.key === "b") blank();
  else if (event.key === "r") move(STRAIGHT);
  else return;
  event.preventDefault();
});

function movePen(right, down) {
  const [cx, cy] = centreOf(active),
    from = [pen.x, pen.y];
  if (!pen.isShown) [pen.x, pen.y] = [cx, cy];
  pen.x = clamp(pen.x + right, cx - objectWidth / 2, cx + objectWidth / 2);
  pen.y = clamp(pen.y + down, cy - objectHeight / 2, cy + objectHeight / 2);
  if (pen.isDown) stroke(pen.isShown ? from : [pen.x, pen.y], [pen.x, pen.y]);
  pen.isShown = true;
  update();
}

function setDrawing(on) {
  drawing = on;
  Object.assign(pen, { isDown: false, isShown: false });
  byId("draw").setAttribute("aria-pressed", on);
  byId("move").setAttribute("aria-pressed", !on);
  for (const { canvas } of stages) canvas.classList.toggle("drawing", on);
  update();
}

function blank() {
  Object.assign(objects[active], { image: blankImage(), target: null, how: { ...STRAIGHT } });
  setDrawing(true);
}

function activate(object) {
  active = object;
  pen.isShown = false;
  byId("objects")
    ?.querySelectorAll("button")
    .forEach((button, k) => button.setAttribute("aria-pressed", k === object));
  update();
}

// --- controls

byId("move").addEventListener("click", () => setDrawing(false));
byId("draw").addEventListener("click", () => setDrawing(true));
byId("blank").addEventListener("click", blank);
byId("reset").addEventListener("click", () => move(STRAIGHT));
objects.forEach((_, k) => {
  const button = element("button", { type: "button", "aria-pressed": k === 0 }, `Digit ${k + 1}`);
  button.addEventListener("click", () => activate(k));
  byId("objects")?.append(button);
});

const widest = (name) => Math.max(...runs.map((run) => run.trained_on?.[name] ?? Infinity));
const inPixels = (fraction) => fraction * objectWidth;
const SLIDERS = [
  {
    name: "Turn",
    min: -180,
    max: 180,
    step: 1,
    read: (how) => how.angle,
    write: (angle) => ({ angle }),
    show: (value) => `${reads(value)}°`,
    spoken: (value) =>
      `${reads(Math.abs(value))} degrees ${value < 0 ? "clockwise" : "counter-clockwise"}`,
    trained: widest("rotation"),
    from: (value) => Math.abs(value),
    words: (amount) => `−${amount}° to ${amount}°`,
  },
  ...["right", "down"].map((way, axis) => ({
    name: `Shift ${way}`,
    min: -Math.floor(objectWidth / 2),
    max: Math.floor(objectWidth / 2),
    step: 1,
    read: (how) => inPixels(how.shift[axis]),
    write: (value, how) => ({
      shift: how.shift.map((before, k) => (k === axis ? value / objectWidth : before)),
    }),
    show: (value) => `${reads(value, 1).replace(/\.0$/, "")} px`,
    spoken: (value) => `${reads(value, 1)} pixels`,
    trained: inPixels(widest("translation")),
    from: (value) => Math.abs(value),
    words: (amount) => `−${reads(amount, 1)} to ${reads(amount, 1)} px`,
  })),
  {
    name: "Scale",
    min: SCALES[0],
    max: SCALES[1],
    step: 0.05,
    read: (how) => how.scale,
    write: (scale) => ({ scale }),
    show: (value) => `× ${reads(value, 2)}`,
    spoken: (value) => `times ${reads(value, 2)}`,
    trained: widest("scale"),
    from: (value) => Math.abs(value - 1),
    words: (amount) => `${reads(1 - amount, 1)} to ${reads(1 + amount, 1)}`,
  },
];
// --- what a card tells

// What the network reads, a picture for each view and channel.
function paintViews({ run, views, glance }, result) {
  const { transformer } = run.network;
  const canvases = result.views.flatMap((view) => {
    const [channels, height, width] = view.shape,
      count = height * width;
    const planes =
      channels === 3 && objectChannels === 3
        ? [view.data]
        : Array.from({ length: channels }, (_, c) =>
            view.data.subarray(c * count, (c + 1) * count),
          );
    return planes.map((plane, c) => {
      const data = plane.map((value, i) => {
        const which =
          run.mean.length > 1
            ? planes.length > 1
              ? c % run.mean.length
              : Math.floor(i / count)
            : 0;
        return 255 * (value * run.std[which] + run.mean[which]);
      });
      const canvas = picture(data, height, width);
      canvas.setAttribute("role", "img");
      canvas.setAttribute(
        "aria-label",
        transformer
          ? "What the network reads: the transformer's view"
          : "What the network reads: the input itself",
      );
      return canvas;
    });
  });
  views.classList.toggle("many", canvases.length > 1);
  views.replaceChildren(...canvases, element("figcaption", {}, "what it reads"));
  glance.replaceChildren(...canvases.map(copy));
}

const TABLE = {
  caption:
    "By you, by the warp and by both: turned counter-clockwise, scaled, and pixels off the centre",
  columns: ["turn", "scale", "right", "down"],
};

function rowsOf(result, transformer) {
  const num = result.grids.length;
  return result.grids.flatMap((grid, view) => rowsOfView(grid, view, transformer, num));
}

// What a person did to an object, what the transformer did to it, and what is left of both.
function rowsOfView(grid, view, transformer, numViews) {
  const byTransformer = engine.affineOf(
    grid,
    transformer.size,
    spec.size,
    transformer.align_corners,
  );
  const suffix = numViews > 1 ? ` ${view + 1}` : "";
  const rows = [[`warp${suffix}`, ...inWords(byTransformer)]];
  if (numViews !== spec.num_objects) return rows;
  const { angle, shift, scale } = objects[view].how,
    [cx, cy] = centreOf(view);
  const cos = Math.cos((angle * Math.PI) / 180) / scale,
    sin = Math.sin((angle * Math.PI) / 180) / scale;
  const [x, y] = shift.map((part) => part * objectWidth);
  const off = [cx - spec.size[1] / 2, cy - spec.size[0] / 2];
  // From the input's pixels to the object's own, both from the input's centre.
  const byPerson = [
    [cos, -sin, off[0] - cos * (off[0] + x) + sin * (off[1] + y)],
    [sin, cos, off[1] - sin * (off[0] + x) - cos * (off[1] + y)],
  ];
  const [[a, b, c], [d, e, f]] = byTransformer;
  const both = byPerson.map(([u, v, w]) => [u * a + v * d, u * b + v * e, u * c + v * f + w]);
  rows.unshift([`you${suffix}`, ...inWords(byPerson, off, off)]);
  rows.push([`both${suffix}`, ...inWords(both, off)]);
  return rows;
}

// Of an affine map, destination to source, in pixels: turn, scale, and where what lies at `from` in
// the source is shown, from `at`.
function inWords([[a, b, x], [c, d, y]], from = [0, 0], at = [0, 0]) {
  const area = a * d - b * c;
  if (Math.abs(area) < 1e-9) return ["–", "0", "–", "–"];
  const [u, v] = [from[0] - x, from[1] - y];
  const place = [(d * u - b * v) / area - at[0], (a * v - c * u) / area - at[1]];
  const turn = (Math.atan2(c - b, a + d) * 180) / Math.PI;
  const far = (value) => (Math.abs(value) < 1000 ? reads(value, 1) : "far");
  return [
    `${reads(turn)}°`,
    `× ${reads(1 / Math.sqrt(Math.abs(area)), 2)}${area < 0 ? " mirrored" : ""}`,
    ...place.map(far),
  ];
}

function start() {
  const targets = examples.map((example) => example.target);
  objects.forEach((object, k) => {
    active = k;
    choose(targets.includes(7 - 3 * k) ? 7 - 3 * k : targets[0]);
    const rotation = Math.max(...runs.map((run) => run.trained_on?.rotation ?? 0));
    object.how = { ...STRAIGHT, angle: Math.round(((k ? -1 : 2) * rotation) / 3) };
  });
  active = 0;
}

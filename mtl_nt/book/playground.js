// The playground: small networks that train in the page, beside their single-task twins.
//
// All is in double precision, by the formulas of `mtl_nt.weighters`. See playground.py for presets.
(() => {
"use strict";
// ---- Random numbers: the same ones for the same seed, in every browser ----
function randomNumbers(seed) {
  let state = seed >>> 0;
  const uniform = () => { // mulberry32, between 0 and 1
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const shuffled = (count) => {
    const keys = Array.from({ length: count }, uniform);
    return range(count).sort((i, j) => keys[i] - keys[j]);
  };
  return { uniform, normal, shuffled };
}

// ---- Optimisers: functions of a gradient, which move `values` in place ----
const adam = (values, rate) => {
  const mean = new Float64Array(values.length), square = new Float64Array(values.length);
  let steps = 0;
  return (gradient) => {
    steps += 1;
    const size = rate / (1 - 0.9 ** steps), deviation = Math.sqrt(1 - 0.999 ** steps);
    for (let i = 0; i < values.length; i++) {
      mean[i] += 0.1 * (gradient[i] - mean[i]);
      square[i] = 0.999 * square[i] + 0.001 * gradient[i] * gradient[i];
      values[i] -= (size * mean[i]) / (Math.sqrt(square[i]) / deviation + 1e-8);
    }
  };
};
const gradientDescent = (values, rate) => (gradient) => gradient.forEach((g, i) => { values[i] -= rate * g; });

// ---- Task weighters: the row of W that a network gets in a step ----
// A step has losses L_t; first (the first batch of an epoch); and, when asked, each task's gradient
// at its own head (headGradients) and its norm at the last shared layer (norms).

const range = (count) => [...Array(count).keys()];
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;
const dot = (a, b) => { let s = 0; for (let i = 0; i < a.length; i++) s += a[i] * b[i]; return s; };
const cosine = (a, b) => dot(a, b) / Math.max(Math.sqrt(dot(a, a) * dot(b, b)), 1e-300);
const angleOf = (a, b) => Math.acos(Math.max(-1, Math.min(1, cosine(a, b)))) / RADIANS;

const given = (of) => (alpha, target) =>
  ({ weights: ({ losses }) => losses.map((_, t) => of(t, alpha, target, losses.length)) });

const lbtw = (kind) => (alpha) => { // w = (L / reference)^alpha, scaled to a mean of 1
  let reference = null;
  return {
    weights({ losses, first }) {
      if (!reference || (kind === "epoch" && first)) reference = [...losses];
      const w = losses.map((l, t) => (reference[t] > 0 ? l / reference[t] : 1) ** alpha);
      return w.map((v) => v / mean(w));
    },
    after({ losses }) {
      if (kind === "average") reference = reference.map((r, t) => r + 0.1 * (losses[t] - r));
    },
  };
};

const gradnorm = (alpha) => { // |w_t g_t| follows its mean times (relative training rate)^alpha
  let w = null, initial, optimiser;
  return {
    weights({ losses }) {
      if (!w) [w, initial] = [Float64Array.from(losses, () => 1), [...losses]];
      optimiser ||= adam(w, 0.025);
      return [...w];
    },
    after({ losses, norms }, weights) {
      const rate = losses.map((l, t) => l / initial[t]), grown = weights.map((v, t) => v * norms[t]);
      const target = rate.map((r) => mean(grown) * (r / mean(rate)) ** alpha);
      optimiser(grown.map((g, t) => Math.sign(g - target[t]) * norms[t]));
      const moved = [...w].map((v) => Math.max(v, 1e-3)), share = sum(weights) / sum(moved);
      moved.forEach((v, t) => { w[t] = v * share; });
    },
  };
};

const rmtl = (_, target) => ({ // w_t = max(0, cosine of the gradients of t and of the own task)
  weights: ({ headGradients: g }) =>
    g.map((h, t) => (t === target ? 1 : Math.max(0, cosine(h, g[target])))),
});

const uncertainty = (_, target, bound) => { // w = exp(-s) / 2, with s / 2 in the objective
  let s = null, optimiser;
  return {
    weights({ losses }) {
      s ||= new Float64Array(losses.length);
      optimiser ||= adam(s, 0.025);
      s.forEach((v, t) => { s[t] = Math.min(bound, Math.max(-bound, v)); });
      return Array.from(s, (v) => Math.exp(-v) / 2);
    },
    after({ losses }, weights) { optimiser(losses.map((l, t) => 0.5 - weights[t] * l)); },
    get s() { return s; },
  };
};

const METHODS = { // make(alpha, target, bound of s); each: one network for each task
  STL: { make: given((t, _, target) => +(t === target)), each: true },
  MTL: { make: given(() => 1) },
  LBTW: { make: lbtw("epoch"), alpha: [0, 2, 0.5] },
  "LBTW, first batch of all": { make: lbtw("training"), alpha: [0, 2, 0.5] },
  "LBTW, moving average": { make: lbtw("average"), alpha: [0, 2, 0.5] },
  GradNorm: { make: gradnorm, alpha: [0, 3, 1.5] },
  RMTL: { make: rmtl, each: true },
  Uncertainty: { make: uncertainty },
  "Fixed weights": { make: given((t, alpha, _, tasks) => (t === tasks - 1 ? alpha : 1)), alpha: [0, 3, 2] },
};
// ---- Two tasks that share two weights: each loss is a bowl around its task's own minimum ----
const RADIANS = Math.PI / 180;

function twoWeights({ angle, scale, start }) {
  const origin = [0, 1], radius = 1.8, curvature = [1, 0.3];
  const bowls = [-angle / 2, angle / 2].map((degrees, t) => {
    const down = degrees * RADIANS, turned = -down / 2; // so that at 0 degrees both bowls are one
    const [c, s] = [Math.cos(turned), Math.sin(turned)];
    const [p, q] = curvature.map((k) => k * (t ? scale : 1));
    return {
      minimum: [origin[0] + radius * Math.sin(down), origin[1] - radius * Math.cos(down)],
      hessian: [p * c * c + q * s * s, (p - q) * c * s, p * s * s + q * c * c],
    };
  });
  const gradient = ({ minimum, hessian: [a, b, c] }, [x, y]) => {
    const [dx, dy] = [x - minimum[0], y - minimum[1]];
    return [a * dx + b * dy, b * dx + c * dy];
  };
  const loss = (bowl, point) =>
    dot(gradient(bowl, point), point.map((v, i) => v - bowl.minimum[i])) / 2;
  return {
    names: ["A", "B"], bowls, perEpoch: 10, bound: 1.5, // a larger weight would overshoot
    initial: () => Float64Array.from(start),
    optimiser: (values) => gradientDescent(values, 0.05),
    batches: () => null,
    pass(values) {
      const point = [...values], gradients = bowls.map((bowl) => gradient(bowl, point));
      return {
        losses: bowls.map((bowl) => loss(bowl, point)),
        headGradients: gradients, // no heads here: the gradients at the two shared weights
        norms: gradients.map((g) => Math.hypot(...g)),
        backward: (weights) => point.map((_, i) => sum(weights.map((w, t) => w * gradients[t][i]))),
      };
    },
    error: (values, t) => loss(bowls[t], [...values]) / (t ? scale : 1),
  };
}

// ---- Three tasks that share a layer: two alike, and an outsider ----
// Parameters in one array: input weights [2, H], biases [H], head weights [H, 3], head biases [3].

const ALIKE = 10, BATCH = 16, GRID = 15; // degrees, rows, test points along a side
const target = (direction, x, y) => Math.tanh(3 * (direction[0] * x + direction[1] * y));

function sharedNetwork({ angle, units, rows, noise, scale, seed }) {
  const { uniform, normal, shuffled } = randomNumbers(seed + 1), tasks = 3, H = units;
  const directions = [90 - ALIKE, 90 + ALIKE, 90 - ALIKE - angle].map((degrees) =>
    [Math.cos(degrees * RADIANS), Math.sin(degrees * RADIANS)]);
  const x = Float64Array.from({ length: 2 * rows }, () => 2 * uniform() - 1);
  const y = Float64Array.from({ length: 3 * rows }, (_, i) =>
    target(directions[i % 3], x[2 * Math.floor(i / 3)], x[2 * Math.floor(i / 3) + 1]) + noise * normal());
  const first = Float64Array.from({ length: 6 * H + 3 }, (_, i) =>
    i < 2 * H ? normal() : i < 3 * H ? uniform() - 0.5 : i < 6 * H ? normal() / Math.sqrt(H) : 0);
  const [B, V, C] = [2 * H, 3 * H, 6 * H], scales = [1, 1, scale];
  const grid = range(GRID * GRID).map((i) =>
    [(i % GRID) / (GRID - 1) * 2 - 1, 1 - Math.floor(i / GRID) / (GRID - 1) * 2]);
  const truth = directions.map((d) => Float64Array.from(grid, (p) => target(d, ...p)));
  const variance = truth.map((values) => mean(values.map((v) => v * v)) - mean(values) ** 2);
  const hidden = (p, j, a, b) => Math.tanh(a * p[j] + b * p[H + j] + p[B + j]);
  const learned = (p, t) => Float64Array.from(grid, ([a, b]) => {
    let o = p[C + t];
    for (let j = 0; j < H; j++) o += hidden(p, j, a, b) * p[V + 3 * j + t];
    return o;
  });
  const size = Math.min(BATCH, rows);
  return {
    names: ["alike 1", "alike 2", "outsider"], perEpoch: rows / size, bound: 8,
    x, y, truth, learned,
    initial: () => first.slice(),
    optimiser: (values) => adam(values, 0.03),
    batches() { // a new order of the rows in every epoch
      let order = [];
      return () => (order = order.length ? order : shuffled(rows)).splice(0, size);
    },
    pass(p, batch) {
      const n = batch.length, h = new Float64Array(n * H), errors = new Float64Array(n * 3);
      const losses = [0, 0, 0];
      batch.forEach((row, i) => {
        for (let j = 0; j < H; j++) h[i * H + j] = hidden(p, j, x[2 * row], x[2 * row + 1]);
        for (let t = 0; t < tasks; t++) {
          let gap = p[C + t] - y[3 * row + t];
          for (let j = 0; j < H; j++) gap += h[i * H + j] * p[V + 3 * j + t];
          losses[t] += (scales[t] * gap * gap) / n;
          errors[3 * i + t] = (2 * scales[t] * gap) / n; // of the loss, at the output
        }
      });
      const backward = (weights) => {
        const g = new Float64Array(p.length), e = new Float64Array(3);
        batch.forEach((row, i) => {
          const [a, b] = [x[2 * row], x[2 * row + 1]];
          for (let t = 0; t < tasks; t++) g[C + t] += e[t] = weights[t] * errors[3 * i + t];
          for (let j = 0; j < H; j++) {
            const value = h[i * H + j];
            let back = 0;
            for (let t = 0, k = V + 3 * j; t < tasks; t++, k++) { g[k] += e[t] * value; back += e[t] * p[k]; }
            back *= 1 - value * value;
            g[j] += back * a; g[H + j] += back * b; g[B + j] += back;
          }
        });
        return g;
      };
      const each = () => range(tasks).map((t) => backward(range(tasks).map((k) => +(k === t))));
      return {
        losses, backward,
        get headGradients() { return each().map((g, t) => range(H).map((j) => g[V + 3 * j + t])); },
        get norms() { return each().map((g) => Math.hypot(...g.subarray(0, 2 * H))); }, // input weights
      };
    },
    error: (p, t) => // 1: as bad as guessing the mean
      mean(learned(p, t).map((o, i) => (o - truth[t][i]) ** 2)) / variance[t],
  };
}

// ---- The simulation: the method's networks, and for every task its single-task twin ----
class Simulation {
  constructor(settings) {
    this.settings = settings;
    this.problem = (settings.view === "two" ? twoWeights : sharedNetwork)(settings);
    this.step = 0;
    this.next = this.problem.batches();
    const tasks = range(this.problem.names.length), { method, view, alpha } = settings;
    const network = (name, target) => {
      const values = this.problem.initial(), weighter = METHODS[name].make(alpha, target, this.problem.bound);
      const optimiser = this.problem.optimiser(values);
      return { values, weighter, optimiser, path: [], losses: [], weights: [] };
    };
    this.alone = tasks.map((t) => network("STL", t));
    this.together = method === "STL" ? this.alone
      : METHODS[method].each ? tasks.map((t) => network(method, t)) : [network(method)];
    this.networks = [...new Set([...this.alone, ...this.together])];
    this.every = view === "two" ? 1 : 10; // steps between measurements
    this.curve = { step: [], together: [], alone: [] };
    this.measure();
  }
  of(task) { return this.together[task % this.together.length]; } // the network that is for a task
  advance(steps = 1) {
    for (; steps > 0 && this.step < this.settings.steps; steps--) {
      const batch = this.next?.(), first = this.step % this.problem.perEpoch === 0;
      for (const network of this.networks) {
        if (this.settings.view === "two") network.path.push([...network.values]);
        const pass = this.problem.pass(network.values, batch);
        pass.first = first;
        const weights = network.weighter.weights(pass), gradient = pass.backward(weights);
        network.weighter.after?.(pass, weights);
        network.optimiser(gradient);
        network.losses.push(pass.losses);
        network.weights.push(weights);
      }
      this.step += 1;
      if (this.step % this.every === 0 || this.step === this.settings.steps) this.measure();
    }
  }
  measure() { // the error of every task, together and alone
    const { curve, problem } = this;
    curve.step.push(this.step);
    curve.together.push(problem.names.map((_, t) => problem.error(this.of(t).values, t)));
    curve.alone.push(problem.names.map((_, t) => problem.error(this.alone[t].values, t)));
  }
  get gains() { // above 0 is better than alone
    const [together, alone] = [this.curve.together.at(-1), this.curve.alone.at(-1)];
    return together.map((error, t) => alone[t] - error);
  }
}

// ---- Drawing ----
const INK = "#222", BETTER = "#2f6fb0", WORSE = "#b5332e";
const OWN_KEYS = { "data-lm-suppress-shortcuts": "" }; // or JupyterLab takes the arrow keys
const TASKS = { two: ["#3b75af", "#a8326e"], network: ["#3b75af", "#5aa9d6", "#a8326e"] };
const SVG = new Set(["svg", "path", "line", "circle", "text", "g", "polygon", "rect"]);

function element(name, attributes = {}, ...children) {
  const space = SVG.has(name) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const line = (points) => points.map((p) => p.map((v) => v.toFixed(1)).join(",")).join("L");
const path = (points, attributes) =>
  element("path", { d: points.length ? `M${line(points)}` : "", fill: "none", ...attributes });
const picture = (width, height, label, name, ...children) => element("svg",
  { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: name }, ...children);
let letters = 1; // how much larger letters are drawn where the picture is small
const label = (text, x, y, { size = 13, ...attributes } = {}) =>
  element("text", { x, y, "font-size": size * letters, fill: INK, ...attributes }, text);

function arrow([x, y], [dx, dy], color, width = 2.5) {
  const length = Math.hypot(dx, dy) || 1, size = Math.min(10, length);
  const [u, v] = [(size * dx) / length, (size * dy) / length], [tx, ty] = [x + dx, y + dy];
  const head = [[tx, ty], [tx - u - v / 2.2, ty - v + u / 2.2], [tx - u + v / 2.2, ty - v - u / 2.2]];
  return element("g", {}, path([[x, y], [tx - u, ty - v]], { stroke: color, "stroke-width": width }),
    element("polygon", { points: head.join(" "), fill: color }));
}

// Lines over the steps, in a box. Each of `lines` has values, a color and maybe a dash.
// A value above `most` is drawn at the top.
function chart({ title, lines, box: [x, y, w, h], areas = [], marks = [], most = Infinity, steps: end }) {
  const top = Math.min(most, Math.max(1e-9, ...lines.flatMap((l) => l.values)));
  const place = ({ values, at }) => values.map((v, i) =>
    [x + (w * (at ? at[i] : i)) / end, y + h - (h * Math.min(v, top)) / top]);
  const shapes = areas.map(({ upper, lower, color }) =>
    path([...place(upper), ...place(lower).reverse()], { fill: color, "fill-opacity": 0.22 }));
  const ticks = marks.map((m) => x + (w * m) / end).map((at) =>
    path([[at, y + h - 4], [at, y + h]], { stroke: "#999" }));
  return element("g", {}, label(title, x, y - 6, { "font-weight": 600 }),
    path([[x, y], [x, y + h], [x + w, y + h]], { stroke: "#bbb" }), ...ticks, ...shapes,
    ...lines.map((l) => path(place(l),
      { stroke: l.color, "stroke-width": 2, "stroke-dasharray": l.dash || "none" })),
    label(Number(top.toPrecision(2)), x + w, y - 6, { "text-anchor": "end", fill: "#777", size: 11 }));
}

// ---- View 1: the loss surfaces of two tasks over two shared weights ----
const VIEW = { width: 560, height: 420, x: [-2.3, 2.3], y: [-1.5, 1.95] };
const onScreen = ([a, b]) => [
  ((a - VIEW.x[0]) / (VIEW.x[1] - VIEW.x[0])) * VIEW.width,
  ((VIEW.y[1] - b) / (VIEW.y[1] - VIEW.y[0])) * VIEW.height];
const inWeights = (right, down) => // shares of the picture's width and height
  [VIEW.x[0] + right * (VIEW.x[1] - VIEW.x[0]), VIEW.y[1] - down * (VIEW.y[1] - VIEW.y[0])];
const inView = (point) => [VIEW.x, VIEW.y].map(([low, high], i) => Math.max(low, Math.min(high, point[i])));

function contours({ minimum, hessian: [a, b, c] }, color) { // of equal steps of sqrt(loss)
  return [0.12, 0.3, 0.48, 0.66, 0.84, 1.02, 1.2].map((level) => {
    const points = range(73).map((i) => {
      const [u, v] = [Math.cos(i * 5 * RADIANS), Math.sin(i * 5 * RADIANS)];
      const r = level * Math.SQRT2 / Math.sqrt(a * u * u + 2 * b * u * v + c * v * v);
      return onScreen([minimum[0] + r * u, minimum[1] + r * v]);
    });
    return path(points, { stroke: color, "stroke-opacity": 0.5 });
  });
}

function drawTwo(simulation, stage, begin) {
  const { problem, together, alone } = simulation, colors = TASKS.two;
  const surface = picture(VIEW.width, VIEW.height, "Contours of both losses, and training's paths", "wide");
  problem.bowls.forEach((bowl, t) => surface.append(...contours(bowl, colors[t])));
  const route = (network) => [...network.path, [...network.values]].map(onScreen);
  const style = { "stroke-width": 2, "stroke-dasharray": "6 4" };
  alone.forEach((n, t) => surface.append(path(route(n), { stroke: colors[t], ...style })));
  together.forEach((n, t) => surface.append(
    path(route(n), { stroke: together.length > 1 ? colors[t] : INK, "stroke-width": 2.5 })));
  problem.bowls.forEach(({ minimum }, t) => {
    const [x, y] = onScreen(minimum), style = { fill: colors[t], "text-anchor": "middle" };
    surface.append(label("★", x, y + 7, { size: 20, ...style }),
      label(`best for ${problem.names[t]}`, x, y + 12 + 14 * letters, style));
  });
  together.forEach((network) => {
    const pass = problem.pass(network.values), at = onScreen([...network.values]);
    const w = network.weights.at(-1) || network.weighter.weights({ ...pass, first: true });
    const both = pass.headGradients, total = pass.backward(w);
    const k = 85 / Math.max(0.4, ...both.map((g) => Math.hypot(...g))); // no arrow is longer than 85
    const down = ([a, b]) => [-a * k, b * k]; // the gradient; on a screen, y grows downwards
    both.forEach((g, t) => surface.append(arrow(at, down(g), colors[t])));
    if (Math.hypot(...down(total)) > 4) surface.append(arrow(at, down(total), "#c46a10", 3.5));
    surface.append(element("circle", { cx: at[0], cy: at[1], r: 6, fill: INK }));
  });
  const [x, y] = onScreen(problem.initial());
  const handle = element("circle", { cx: x, cy: y, r: 9, fill: "#fff", stroke: INK, "stroke-width": 2.5,
    ...OWN_KEYS, class: "handle", tabindex: 0, role: "button", "aria-label": "Start of training: arrow keys move it" });
  handle.addEventListener("pointerdown", (event) => {
    const move = ({ clientX, clientY }) => {
      const { left, top, width, height } = stage.querySelector("svg").getBoundingClientRect();
      begin(inWeights((clientX - left) / width, (clientY - top) / height));
    };
    event.preventDefault();
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  });
  handle.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (!move[event.key]) return;
    event.preventDefault();
    begin(problem.initial().map((v, i) => v + move[event.key][i]));
  });
  surface.append(handle);
  letters = 1;
  const held = document.activeElement?.matches(".handle") && stage.contains(document.activeElement);
  const grey = { fill: "#666", size: 12 }, losses = problem.names.map((name, t) =>
    comparison(simulation, t, `loss of ${name}`, [10, 30 + 190 * t, 205, 110], colors[t]));
  stage.replaceChildren(surface, picture(230, 420, "Each task's loss, together and alone", "narrow",
    ...losses, label("line: together, dashes: alone", 10, 168, grey),
    label("arrows: down each task's loss;", 10, 368, grey),
    label("orange: the step that is taken", 10, 384, { ...grey, fill: "#b5650b" })));
  if (held) handle.focus();
}

// A task's error together and alone, with the area between them coloured.
function comparison(simulation, t, title, box, color, most) {
  const { step: at, together, alone } = simulation.curve;
  const [own, single] = [together, alone].map((rows) => rows.map((row) => row[t]));
  const between = (pick, shade) => ({ color: shade, lower: { values: single, at },
    upper: { values: own.map((v, i) => pick(v, single[i])), at } });
  return chart({ title, box, most, steps: simulation.settings.steps,
    areas: [between(Math.max, WORSE), between(Math.min, BETTER)],
    lines: [{ values: single, at, color, dash: "5 4" }, { values: own, at, color: INK }] });
}

// ---- View 2: what three tasks want, and what networks learn together and alone ----
const SHADES = { low: [166, 86, 20, 255], middle: [247, 245, 240, 255], high: [20, 110, 105, 255] };

function map(canvas, values, units) { // a function of two inputs as colours, with the hidden units as lines
  const context = canvas.getContext("2d"), image = context.createImageData(GRID, GRID);
  values.forEach((v, i) => {
    const z = Math.max(-1, Math.min(1, v)), { middle } = SHADES, other = z < 0 ? SHADES.low : SHADES.high;
    for (let c = 0; c < 4; c++) image.data[4 * i + c] = middle[c] + Math.abs(z) * (other[c] - middle[c]);
  });
  context.putImageData(image, 0, 0);
  const over = element("svg", { viewBox: "-1 -1 2 2" });
  units.forEach(([a, b, c]) => { // a x + b y + c = 0, and far beyond the edge at both ends
    const n = a * a + b * b || 1e-12, [px, py] = [-a * c / n, -b * c / n], r = 4 / Math.sqrt(n);
    over.append(element("line", { x1: px - b * r, y1: -(py + a * r), x2: px + b * r, y2: -(py - a * r),
      stroke: INK, "stroke-width": 0.05 }));
  });
  return element("div", { class: "map" }, canvas, over);
}

function drawNetwork(simulation, stage) {
  const { problem, settings: { units } } = simulation, colors = TASKS.network;
  const linesOf = ({ values: p }) => range(units).map((j) => [p[j], p[units + j], p[2 * units + j]]);
  const canvases = stage.canvases ||= range(9).map(() => element("canvas", { width: GRID, height: GRID }));
  const heads = ["to learn", "together", "alone", "error"].map((text) => element("b", {}, text));
  const rows = problem.names.flatMap((name, t) => {
    const [own, single] = [simulation.of(t), simulation.alone[t]];
    const plot = picture(190, 120, `The error of ${name}, together and alone`, "",
      comparison(simulation, t, name, [8, 24, 174, 84], colors[t], 1.5));
    const maps = [[problem.truth[t], []], ...[own, single].map((n) => [problem.learned(n.values, t), linesOf(n)])];
    return [...maps.map((of, k) => map(canvases[3 * t + k], ...of)), plot];
  });
  stage.replaceChildren(element("div", { class: "maps" }, ...heads, ...rows));
}

// ---- View 3: losses, training rates and weights over the steps ----
function drawWeights(simulation, stage) {
  const { problem, together, settings: { steps, method } } = simulation, colors = TASKS.network;
  const network = together.at(-1), { losses, weights } = network; // of RMTL: the outsider's network
  const marks = range(losses.length).filter((k) => k % problem.perEpoch === 0).slice(0, 60);
  const width = Math.min(760, (stage.clientWidth || 800) - 40), space = (width - 20) / 4;
  const bold = { "font-weight": 600 }, pass = problem.pass(network.values, range(simulation.settings.rows));
  const charts = [["loss L of each batch", losses, (row, t) => row[t]],
    ["L / L of the first batch", losses, (row, t) => row[t] / losses[0][t]],
    [method === "RMTL" ? "weights in the outsider's network" : "task weights w", weights, (row, t) => row[t]],
  ].map(([title, rows, of], k) => chart({ title, marks, steps, box: [20, 30 + 130 * k, width, 90],
    lines: problem.names.map((_, t) => ({ color: colors[t], values: rows.map((row) => of(row, t)) })) }));
  const extras = [picture(width + 40, 430, "Losses, losses over first losses, and weights", "wide", ...charts,
    ...problem.names.map((name, t) => label(name, 20 + space * t, 412, { fill: colors[t], ...bold })),
    label("ticks: epochs", 20 + space * 3, 412, { fill: "#666" }))];
  if (method === "GradNorm" && weights.length) { // bars that level out where alpha is 0
    const sizes = pass.norms.map((norm, t) => norm * weights.at(-1)[t]);
    const scale = (width - 90) / Math.max(...sizes);
    extras.push(picture(width + 40, 96, "Weighted gradient norms", "wide",
      label("w times the gradient norm, now", 20, 14, bold), ...sizes.flatMap((size, t) => [
        element("rect", { x: 100, y: 24 + 22 * t, height: 16, width: size * scale, fill: colors[t] }),
        label(problem.names[t], 94, 37 + 22 * t, { "text-anchor": "end" })])));
  }
  const angles = ({ headGradients: g }) => g.slice(0, -1).map((h) => angleOf(h, g.at(-1)));
  const [title, values, text] = method === "RMTL" ? ["angle to the outsider's gradient", angles(pass), degrees]
    : ["log variances s", network.weighter.s || [], (v) => v.toFixed(2)];
  if (values.length) extras.push(element("p", {}, `${title}: ` +
    Array.from(values, (v, t) => `${problem.names[t]} ${text(v)}`).join(", ")));
  stage.replaceChildren(...extras);
}

// ---- One sentence about what is seen ----
const amount = (gain) => Math.abs(gain) < 0.005 ? "as good as alone"
  : `${Math.abs(gain).toFixed(2)} ${gain < 0 ? "worse" : "better"} than alone`;

function sentence(simulation) {
  const { gains, problem, together, step, settings } = simulation;
  const after = `After ${step} steps`;
  if (settings.method === "STL") return `${after}, each task has its own network: the baseline of the others.`;
  if (settings.view === "two") {
    const apart = angleOf(...problem.pass(together[0].values).headGradients);
    const angle = together.length > 1 ? "" : ` Their gradients point ${apart.toFixed(0)}° apart.`;
    return `${after}, task A is ${amount(gains[0])}, and task B is ${amount(gains[1])}.${angle}`;
  }
  const units = settings.units === 1 ? "one shared unit" : `${settings.units} shared units`;
  return `${after} with ${units}, the outsider is ${amount(gains[2])}; the two alike are `
    + `${amount((gains[0] + gains[1]) / 2)}. (An error of 1 is as bad as guessing.)`;
}

// ---- Controls ----
const times = (v) => `× ${v < 1 ? v.toFixed(2) : v.toFixed(1)}`, degrees = (v) => `${Math.round(v)}°`;
const CONTROLS = { // label, [least, most, step], text of a value; a scale moves in powers of ten
  alpha: ["alpha", [0, 4, 0.05], (v) => v.toFixed(2)],
  angle: ["angle of the outsider", [0, 90, 5], degrees],
  units: ["shared units", [1, 8, 1], String],
  rows: ["rows", [16, 128, 16], String],
  noise: ["noise", [0, 1, 0.1], (v) => v.toFixed(1)],
  scale: ["loss of the outsider", [-1, 1, 0.1], times],
  seed: ["seed", [0, 20, 1], String],
};
const OF_TWO = { angle: ["angle between tasks", [0, 180, 5], degrees],
  scale: ["loss of B", [-1, 1, 0.1], times] };
const DRAW = { two: drawTwo, network: drawNetwork, weights: drawWeights };
const PATIENCE = 6; // milliseconds of training before a picture, which leave a frame time to draw

// Fills an element with controls and a picture. Whenever training rests, `tell` hears of the settings
// and the sentence. The function that comes back takes other settings.
function mount(root, preset, tell = () => {}) {
  const settings = { ...preset }, stage = element("div", { class: "stage" });
  const said = element("p", { class: "said" });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let simulation = new Simulation(settings), frame = 0, playing = false;
  const draw = (of = simulation) => {
    letters = settings.view === "weights" ? 1 : Math.max(1, Math.min(1.7, 560 / (stage.clientWidth || 560)));
    DRAW[settings.view](of, stage, begin);
    said.textContent = sentence(of);
    said.setAttribute("aria-live", playing ? "off" : "polite");
    Object.assign(root, { simulation: of, draw }); // for tests and for the curious
  };
  const finished = () => simulation.step >= settings.steps;
  const tick = () => {
    const until = performance.now() + PATIENCE;
    if (playing) simulation.advance(settings.view === "two" ? 1 : 4);
    else while (!finished() && performance.now() < until) simulation.advance(10);
    draw();
    if (finished()) rest();
    else frame = requestAnimationFrame(tick);
  };
  const pause = () => { cancelAnimationFrame(frame); playing = false; play.textContent = "▶ play"; };
  const rest = () => { pause(); tell({ ...settings }, said.textContent); };
  const renew = () => { root.simulation = simulation = new Simulation(settings); };
  const restart = () => { pause(); renew(); frame = requestAnimationFrame(tick); };
  const take = (changes) => { Object.assign(settings, changes); show(); restart(); };
  const begin = (point) => take({ start: inView(point) });
  const button = (text, action) => {
    const made = element("button", { type: "button" }, text);
    made.addEventListener("click", action);
    return made;
  };
  const play = button("▶ play", () => {
    if (playing) return rest();
    if (calm) return restart();
    if (finished()) renew();
    pause();
    playing = true;
    play.textContent = "❚❚ pause";
    tick();
  });
  const stepOne = button("step", () => {
    pause();
    if (finished()) renew();
    simulation.advance(1);
    draw();
    rest();
  });
  const reset = button("reset", () => take(preset));
  const picker = element("select", OWN_KEYS, ...Object.keys(METHODS).map((name) => element("option", {}, name)));
  picker.addEventListener("change", () => {
    const { alpha = [0, 0, 0] } = METHODS[picker.value];
    take({ method: picker.value, alpha: alpha[2] });
  });
  const slider = (key) => {
    const known = settings.view === "two" ? { ...CONTROLS, ...OF_TWO } : CONTROLS;
    const [text, [min, max, step], format] = known[key];
    const input = element("input", { type: "range", min, max, step, ...OWN_KEYS }), output = element("output");
    const update = () => {
      input.value = key === "scale" ? Math.log10(settings.scale) : settings[key];
      output.textContent = format(settings[key]);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () =>
      take({ [key]: key === "scale" ? 10 ** input.value : Number(input.value) }));
    return { node: element("label", {}, element("span", {}, text), input, output), update };
  };
  const sliders = Object.keys(CONTROLS).filter((key) => key in preset).map(slider);
  const show = () => {
    const { alpha } = METHODS[settings.method], { node } = sliders[0], [text, input] = node.children;
    picker.value = settings.method;
    node.hidden = !alpha;
    if (alpha) [input.min, input.max] = alpha;
    text.textContent = settings.method === "Fixed weights" ? "weight of the last task" : "alpha";
    sliders.forEach(({ update }) => update());
  };
  const controls = element("div", { class: "controls" }, element("span", {}, play, stepOne, reset),
    element("label", {}, element("span", {}, "method"), picker), ...sliders.map(({ node }) => node));
  root.replaceChildren(...root.querySelectorAll("style"), controls, stage, said);
  show();
  tick(); // the first picture at once: the page below does not jump
  return take;
}

const place = document.currentScript?.parentElement; // in a widget there is none
if (place) mount(place, JSON.parse(place.dataset.preset));
return mount; // for playground_widget.js
})();

// Draws what flow.report.charts says there is, and lets the reader point, zoom and choose.
"use strict";

const WIDTH = 380, TOP = 12, LEFT = 42, RIGHT = 362, BOTTOM = 232, LANE = 12;
const MARKS = {  // radius 4 around the origin
  software: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", golden: "M-3 -3H3V3H-3z",
  rtl: "M0 -5L5 0L0 5L-5 0z", "software-hwdraws": "M0 -4L4 3H-4z", integer: "M0 4L4 -3H-4z",
  "integer-hwdraws": "M-3 -3L3 3M-3 3L3 -3",
};
const SVG = document.createRange().createContextualFragment("<svg></svg>").firstChild.namespaceURI;

function element(space, tag, attributes = {}, parent = null, text = "") {
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}
const draw = (...rest) => element(SVG, ...rest);
const html = (...rest) => element("", ...rest);
const short = (value) => Number(value.toPrecision(3)).toLocaleString("en");
const percent = (value) => (100 * value).toFixed(2);

function ticks([low, high]) {
  const found = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++)
    for (const step of high / low < 300 ? [1, 2, 5] : [1]) found.push(step * 10 ** decade);
  return found.filter((tick) => tick >= low && tick <= high);
}

class Chart {
  constructor(holder, panel, data, number) {
    Object.assign(this, { panel, data, chosen: null, drag: null });
    this.figure = html("figure", { class: "chart" }, holder);
    const caption = html("figcaption", {}, this.figure);
    html("b", {}, caption, panel.title);
    const tools = html("span", { class: "tools" }, caption);
    for (const [sign, name, act] of [
      ["+", "zoom in", () => this.zoom(0.5)], ["−", "zoom out", () => this.zoom(2)],
      ["⟲", "show all", () => this.reset()]]) {
      const button = html("button", { type: "button", title: name,
        "aria-label": `${panel.title}: ${name}` }, tools, sign);
      button.onclick = act;
    }
    this.stage = html("div", { class: "stage", tabindex: 0, role: "application",
      "aria-label": `Chart of ${panel.title}: ${data.y} over ${panel.axis}. Left and right arrows go `
        + "along the points, up and down to another curve, plus and minus zoom, 0 shows all. The "
        + "tables hold the same figures." }, this.figure);
    this.tip = html("div", { class: "tip", role: "status" }, this.figure);
    this.clip = `clip-${holder.id}-${number}`;
    const reached = panel.series.flatMap((one) => one.points.map((point) => point.x));
    this.all = { x: [Math.min(...reached) / 1.25, Math.max(...reached) * 1.25], y: [0, 1] };
    this.stage.onkeydown = (event) => this.key(event);
    this.stage.onpointermove = (event) => this.move(event);
    this.stage.onpointerdown = (event) => this.press(event);
    this.stage.onpointerup = (event) => this.release(event);
    this.stage.onpointerleave = () => { if (!this.drag) this.choose(null); };
    this.stage.onblur = () => this.choose(null);
    this.stage.ondblclick = () => this.reset();
    this.reset();
  }

  get lines() { return this.panel.series.filter((one) => this.data.shows(one)); }
  x(value) {
    const [low, high] = this.view.x;
    return LEFT + (RIGHT - LEFT) * Math.log(value / low) / Math.log(high / low);
  }
  y(value) {
    const [low, high] = this.view.y;
    return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low);
  }
  value(px, py) {
    const [[left, right], [low, high]] = [this.view.x, this.view.y];
    return { x: left * (right / left) ** ((px - LEFT) / (RIGHT - LEFT)),
      y: low + (high - low) * (BOTTOM - py) / (BOTTOM - TOP) };
  }
  reset() { this.view = { x: [...this.all.x], y: [...this.all.y] }; this.redraw(); }
  zoom(factor) {
    const middle = this.chosen?.point ?? this.value((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2);
    const { x, y } = this.view;
    const to = { x: x.map((end) => middle.x * (end / middle.x) ** factor),
      y: y.map((end) => middle.y + (end - middle.y) * factor) };
    this.look(to.x, to.y);
  }
  look(x, y) {
    this.view = { x: [Math.max(x[0], this.all.x[0]), Math.min(x[1], this.all.x[1])],
      y: [Math.max(y[0], 0), Math.min(y[1], 1)] };
    this.redraw();
  }

  redraw() {
    this.choose(null);
    const { lines, panel } = this, lanes = panel.series.some((one) => one.mu) ? lines.length : 0;
    const axis = BOTTOM + (lanes ? lanes * LANE + 10 : 0), height = axis + 36;
    this.stage.replaceChildren();
    const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" }, this.stage);
    this.svg = svg;
    const defs = draw("clipPath", { id: this.clip }, draw("defs", {}, svg));
    draw("rect", { x: LEFT, y: TOP - 6, width: RIGHT - LEFT, height: axis - TOP + 6 }, defs);
    const span = this.view.y[1] - this.view.y[0];
    const step = span > 0.5 ? 0.2 : span > 0.2 ? 0.1 : span > 0.1 ? 0.05 : 0.02;
    for (let i = Math.ceil(this.view.y[0] / step); i * step <= this.view.y[1] + 1e-9; i++) {
      draw("path", { class: "grid", d: `M${LEFT} ${this.y(i * step)}H${RIGHT}` }, svg);
      draw("text", { class: "end", x: LEFT - 5, y: this.y(i * step) + 4 }, svg,
        `${Math.round(100 * i * step)}`);
    }
    draw("text", { x: 2, y: TOP - 2 }, svg, "%");
    for (const tick of ticks(this.view.x)) {
      draw("path", { class: "grid", d: `M${this.x(tick)} ${TOP}V${axis}` }, svg);
      draw("text", { class: "mid", x: this.x(tick), y: axis + 14 }, svg, short(tick));
    }
    draw("text", { class: "mid", x: (LEFT + RIGHT) / 2, y: axis + 30 }, svg, panel.axis);
    this.inside = draw("g", { "clip-path": `url(#${this.clip})` }, svg);
    for (const [name, level] of panel.guides) {
      draw("path", { class: "guide", d: `M${LEFT} ${this.y(level)}H${RIGHT}` }, this.inside);
      const low = level < 0.5;  // under the line and to the left, where curves are high
      const under = low || level > 0.95;  // above it, the frame would cut the name
      draw("text", { class: low ? "soft" : "end soft", x: low ? LEFT + 3 : RIGHT - 2,
        y: this.y(level) + (under ? 12 : -3) }, this.inside, name);
    }
    if (lanes) draw("text", { class: "end", x: LEFT - 5, y: BOTTOM + 8 + lanes * LANE / 2 }, svg, "μ");
    lines.forEach((one, lane) => this.series(one, BOTTOM + 10 + lane * LANE, lanes > 0));
    if (!lines.length) draw("text", { class: "mid", x: WIDTH / 2, y: 120 }, svg, "no curve chosen");
    this.ring = draw("circle", { class: "ring", r: 8, visibility: "hidden" }, svg);
    this.box = draw("rect", { class: "box", visibility: "hidden" }, svg);
  }

  series(one, lane, lanes) {
    const group = draw("g", { class: `series side-${one.side}`, style: this.data.colour(one) },
      this.inside);
    const at = (x, y) => `${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`;
    const { points } = one, path = (list) => "M" + list.map(([x, y]) => at(x, y)).join("L");
    const joined = points.map((point) => [point.x, point.y]);
    if (one.side === "software" && points.length > 1)
      draw("path", { class: "band", d: path([...points.map((p) => [p.x, p.hi]),
        ...points.map((p) => [p.x, p.lo]).reverse()]) + "z" }, group);
    if (one.line.length || one.side !== "rtl")
      draw("path", { class: one.line.length ? "fit" : "fit thin",
        d: path(one.line.length ? one.line : joined) }, group);
    for (const point of points) {
      if (one.side !== "software")
        draw("path", { class: "bar", d: `M${at(point.x, point.lo)}L${at(point.x, point.hi)}` }, group);
      draw("path", { class: "mark", d: MARKS[one.side],
        transform: `translate(${at(point.x, point.y)})` }, group);
    }
    if (!lanes || !one.mu) return;
    const [low, high] = this.view.x;
    if (one.mu[0] === null) {
      const above = one.mu[2] === null, bound = above ? one.mu[1] : one.mu[2];
      const level = Math.min(Math.max(bound, low), high);
      const from = this.x(level), to = above ? RIGHT - 1 : LEFT + 1, back = above ? -6 : 6;
      draw("path", { class: "bar", d: `M${from} ${lane}H${to}m${back} -4l${-back} 4l${back} 4` },
        group);
      return;
    }
    const [mu, from, to] = one.mu.map((value) => this.x(value));
    if (!one.oneDevice) draw("path", { class: "bar wide", d: `M${from} ${lane}H${to}` }, group);
    draw("path", { class: "mark", d: MARKS[one.side], transform: `translate(${mu} ${lane})` }, group);
  }

  point(event) {
    const box = this.svg.getBoundingClientRect(), scale = WIDTH / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }
  seen(one) {
    const { x, y } = this.view;
    return one.points.filter((p) => p.x >= x[0] && p.x <= x[1] && p.y >= y[0] && p.y <= y[1]);
  }
  choose(found) {
    this.chosen = found;
    this.tip.classList.toggle("on", Boolean(found));
    this.ring?.setAttribute("visibility", found ? "visible" : "hidden");
    if (!found) return;
    const { one, point } = found, x = this.x(point.x), y = this.y(point.y);
    this.ring.setAttribute("cx", x);
    this.ring.setAttribute("cy", y);
    const who = [this.data.runs.length > 1 ? one.name : "", this.data.sides[one.side].name];
    this.tip.replaceChildren();
    html("b", {}, this.tip, who.filter(Boolean).join(": "));
    html("span", {}, this.tip, `${this.data.x} ${short(point.x)}: ${percent(point.y)} % `
      + `[${percent(point.lo)}, ${percent(point.hi)}], ${point.note}`);
    const stage = this.stage, size = stage.clientWidth / WIDTH;
    const most = stage.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(x * size + 12, most))}px`;
    this.tip.style.top = `${stage.offsetTop + y * size + 14}px`;
  }
  move(event) {
    const [px, py] = this.point(event);
    if (this.drag) {
      const [x, y] = this.drag, place = { x: Math.min(x, px), y: Math.min(y, py),
        width: Math.abs(px - x), height: Math.abs(py - y), visibility: "visible" };
      for (const [name, value] of Object.entries(place)) this.box.setAttribute(name, value);
      return;
    }
    let best = null, least = 24;
    for (const one of this.lines) for (const point of this.seen(one)) {
      const away = Math.hypot(this.x(point.x) - px, this.y(point.y) - py);
      if (away <= least) [best, least] = [{ one, point }, away];
    }
    if (best?.point !== this.chosen?.point) this.choose(best);
  }
  press(event) {
    if (event.pointerType !== "mouse" || event.button) return;
    this.drag = this.point(event);
    this.stage.setPointerCapture(event.pointerId);
  }
  release(event) {
    if (!this.drag) return;
    const [from, to] = [this.drag, this.point(event)];
    this.drag = null;
    this.box.setAttribute("visibility", "hidden");
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) < 10) return;
    const [a, b] = [this.value(...from), this.value(...to)];
    const around = (p, q, least) => [Math.min(p, q), Math.max(p, q, Math.min(p, q) * least)];
    const y = around(a.y, b.y, 1);
    this.look(around(a.x, b.x, 1.05), y[1] - y[0] < 0.04 ? this.view.y : y);
  }
  key(event) {
    const act = { "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2),
      0: () => this.reset(), Escape: () => this.choose(null), ArrowRight: () => this.step(1, 0),
      ArrowLeft: () => this.step(-1, 0), ArrowUp: () => this.step(0, -1),
      ArrowDown: () => this.step(0, 1) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
  step(along, across) {
    const lines = this.lines.filter((one) => this.seen(one).length);
    if (!lines.length) return;
    const within = (value, length) => Math.max(0, Math.min(value, length - 1));
    const old = this.chosen, line = old ? lines.indexOf(old.one) : 0;
    const one = lines[within(line + across, lines.length)], points = this.seen(one);
    const nearest = () => points.reduce((best, p, i) => Math.abs(Math.log(p.x / old.point.x))
      < Math.abs(Math.log(points[best].x / old.point.x)) ? i : best, 0);
    const place = old ? (across ? nearest() : points.indexOf(old.point) + along) : 0;
    this.choose({ one, point: points[within(place, points.length)] });
  }
}

function choices(holder, legend, names, redraw, symbol) {
  const set = html("fieldset", {}, holder), off = new Set();
  html("legend", {}, set, legend);
  names.forEach(({ name, shown }, number) => {
    const label = html("label", {}, set), box = html("input", { type: "checkbox" }, label);
    box.checked = shown;
    if (!shown) off.add(number);
    if (symbol) symbol(label, number);
    label.append(name);
    box.onchange = () => { off[box.checked ? "delete" : "add"](number); redraw(); };
  });
  return off;
}

function show(holder) {
  const data = JSON.parse(document.getElementById(holder.dataset.from).textContent);
  const sides = Object.keys(data.sides), compare = data.runs.length > 1;
  data.colour = (one) => `--series: var(--c${compare ? one.run % 7 : one.side})`;
  const controls = html("form", { class: "choices" }, holder);
  const grid = html("div", { class: "charts", id: `${holder.dataset.from}-charts` }, holder);
  const charts = [], redraw = () => charts.forEach((chart) => chart.redraw());
  const swatch = (label, side, style, mark) => {
    const svg = draw("svg", { class: "key", viewBox: "-11 -6 22 12", "aria-hidden": "true" }, label);
    const group = draw("g", { class: `series side-${side}`, style }, svg);
    if (side !== "rtl") draw("path", { class: "fit", d: "M-11 0H11" }, group);
    if (mark) draw("path", { class: "mark", d: MARKS[side] }, group);
  };
  const runsOff = compare ? choices(controls, "Runs", data.runs.map((name) => ({ name, shown: true })),
    redraw, (label, run) => swatch(label, "software", data.colour({ run }), false)) : new Set();
  const sidesOff = choices(controls, "Curves", Object.values(data.sides), redraw, (label, number) =>
    swatch(label, sides[number], `--series: var(--${compare ? "ink" : `c${sides[number]}`})`, true));
  const hide = () => charts.forEach((chart, i) => { chart.figure.hidden = panelsOff.has(i); });
  const titles = data.panels.map((panel) => ({ name: panel.title, shown: true }));
  const panelsOff = choices(controls, "Sites", titles, hide, null);
  data.shows = (one) => !runsOff.has(one.run) && !sidesOff.has(sides.indexOf(one.side));
  data.panels.forEach((panel, i) => charts.push(new Chart(grid, panel, data, i)));
}

document.querySelectorAll("[data-from]").forEach(show);

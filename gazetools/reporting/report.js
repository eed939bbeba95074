"use strict";

// What this page can do: themes, sorting and filtering, and the stage on which one stimulus is
// looked at. Everything is in the page already; nothing is fetched, nothing is stored.

const find = (id) => document.getElementById(id);
const SVG = document.querySelector("svg").namespaceURI;
const LEVEL_NAMES = JSON.parse(find("level-names").textContent);

function svgElement(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// ---------------------------------------------------------------- page

find("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : window.matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
});

find("print").addEventListener("click", () => window.print());

find("copy").addEventListener("click", async () => {
  const text = find("paragraph");
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    text.select(); // files have no clipboard in some browsers
    document.execCommand("copy");
  }
  find("copy-done").textContent = "copied";
});

// ---------------------------------------------------------------- tables

function valueOf(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.value === undefined) return cell.textContent;
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

// what is missing comes last, whichever way the rest is sorted
function compare(one, other, direction) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number") return direction * (one - other);
  return direction * one.localeCompare(other, undefined, { numeric: true });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.firstElementChild.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column), up ? 1 : -1));
      table.tBodies[0].append(...rows);
    });
  });
}

if (find("quality-table")) {
  const table = find("quality-table");
  const rows = [...table.tBodies[0].rows];
  const update = () => {
    const wanted = find("quality-filter").value.toLowerCase();
    const withTrials = find("quality-trials").checked;
    const flaggedOnly = find("quality-flagged").checked;
    table.classList.toggle("with-trials", withTrials);
    let count = 0;
    for (const row of rows) {
      const fits = row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits || (flaggedOnly && !row.classList.contains("flagged"));
      if (!row.hidden && (withTrials || row.classList.contains("recording"))) count += 1;
    }
    find("quality-count").textContent = `${count} rows`;
  };
  for (const id of ["quality-filter", "quality-trials", "quality-flagged"])
    find(id).addEventListener("input", update);
  update();
}

// ---------------------------------------------------------------- cards

const cards = find("cards") ? [...find("cards").children] : [];
const nameOf = (card) => card.querySelector("h3").textContent;
const seen = () => [...find("cards").children].filter((card) => !card.hidden);

function sortCards() {
  const choice = find("card-sort").value;
  const down = choice.startsWith("-");
  const key = down ? choice.slice(1) : choice;
  const value = (card) =>
    key === "name" ? nameOf(card) : key in card.dataset ? Number(card.dataset[key]) : null;
  const sorted = [...cards].sort((a, b) => compare(value(a), value(b), down ? -1 : 1));
  find("cards").append(...sorted);
}

function filterCards() {
  const wanted = find("card-filter").value.toLowerCase();
  const text = (card) =>
    nameOf(card) + " " + (card.querySelector(".flags")?.textContent ?? "");
  for (const card of cards) card.hidden = !text(card).toLowerCase().includes(wanted);
  find("card-count").textContent = `${seen().length} shown`;
}

if (cards.length) {
  for (const option of find("card-sort").querySelectorAll("[value=dice], [value=predicted]"))
    if (!cards.some((card) => option.value in card.dataset)) option.remove();
  find("card-sort").addEventListener("input", sortCards);
  find("card-filter").addEventListener("input", filterCards);
  find("cards").addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (button) openStage(button.parentElement);
  });
  filterCards();
}

// ---------------------------------------------------------------- stage

const stage = find("stage");
let current = null; // the card on the stage
let layers = {};
let picture = null; // its SVG
let path = null; // the scanpath that is played
let spans = []; // of its fixations: circle, number, begin and end in ms
let tracked = null; // what the tracker saw during it: velocity, pupil, events
let endsAt = 0;
let playing = 0;

function openStage(card) {
  stop();
  current = card;
  layers = JSON.parse(card.querySelector(".layers").textContent);
  find("stage-name").textContent = nameOf(card);
  find("stage-facts").replaceChildren(...cloned(card.querySelector(".facts").childNodes));
  find("stage-notes").replaceChildren(...cloned(card.querySelectorAll(".flags, .remarks")));
  picture = card.querySelector("svg").cloneNode(true);
  find("stage-picture").replaceChildren(picture);
  drawLayers();
  fillReaders();
  if (!stage.open) stage.showModal();
}

const cloned = (nodes) => [...nodes].map((node) => node.cloneNode(true));

function fillReaders() {
  const reader = find("stage-reader");
  reader.replaceChildren(...layers.labels.map((label, index) => new Option(label, index)));
  find("stage-reader-part").hidden = !layers.labels.length;
  reader.disabled = layers.labels.length < 2;
  find("stage-time-part").hidden = layers.labels.length < 1;
  chooseReader();
}

function chooseReader() {
  stop();
  const paths = [...picture.querySelectorAll(".path")];
  const chosen = Number(find("stage-reader").value || 0);
  paths.forEach((one, index) => one.classList.toggle("off", index !== chosen));
  path = paths.find((one) => !one.classList.contains("off")) ?? null;
  for (const text of picture.querySelectorAll(".path text")) text.remove();
  spans = path ? [...path.querySelectorAll("circle")].map(withNumber) : [];
  tracked = layers.timelines?.[chosen] ?? null;
  // with samples time is that of the trial, else it begins with the first fixation
  const first = tracked ? tracked.span[0] : Math.min(...spans.map((span) => span.begin), Infinity);
  for (const span of spans) {
    span.begin -= first;
    span.end -= first;
  }
  endsAt = Math.max(...spans.map((span) => span.end), tracked ? tracked.span[1] - first : 1, 1);
  find("stage-time").max = endsAt;
  drawTimeline();
  showTime(endsAt);
  toggleLayers();
}

function withNumber(circle) {
  const [x, y] = [circle.getAttribute("cx"), circle.getAttribute("cy")];
  const number = svgElement("text", { x, y, dy: 6 });
  number.textContent = circle.dataset.n;
  circle.after(number);
  const begin = Number(circle.dataset.b);
  return { circle, number, x, y, begin, end: begin + Number(circle.dataset.d) };
}

function showTime(time) {
  find("stage-time").value = time;
  const done = spans.filter((span) => span.begin <= time);
  for (const span of spans) {
    const waits = span.begin > time;
    span.circle.classList.toggle("wait", waits);
    span.number.classList.toggle("wait", waits);
    span.circle.classList.toggle("now", time < endsAt && !waits && time < span.end);
  }
  const line = path?.querySelector("path");
  if (line) {
    const places = done.map((span) => `${span.x} ${span.y}`);
    line.setAttribute("d", places.length ? "M" + places.join("L") : "");
  }
  const seconds = (ms) => (ms / 1000).toFixed(2);
  find("stage-clock").textContent =
    `${seconds(time)} of ${seconds(endsAt)} s, fixation ${done.length} of ${spans.length}`;
  placeCursor(time);
}

function play() {
  if (playing) return stop();
  const from = Number(find("stage-time").value);
  const start = performance.now() - (from >= endsAt ? 0 : from);
  const step = (now) => {
    showTime(Math.min(endsAt, Math.max(0, now - start)));
    playing = now - start < endsAt ? requestAnimationFrame(step) : 0;
    if (!playing) stop();
  };
  playing = requestAnimationFrame(step);
  find("stage-play").textContent = "Pause";
  find("stage-play").setAttribute("aria-pressed", "true");
}

function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  find("stage-play").textContent = "Play";
  find("stage-play").setAttribute("aria-pressed", "false");
}

// ---------------------------------------------------------------- timeline

const LABELS_PX = 118; // what rows are called, left of them
const RIGHT_PX = 10;
const AXIS_PX = 22;
const ROW_PX = { velocity: 54, pupil: 38, bars: 13, gap: 6 };
const EVENTS = ["", "fixation", "saccade", "unclassified"];
const NOTHING = 255; // in a column without any value
const STEPS = 254;
const BAR_LABEL_PX = 15; // that a number needs to be read

let rows = []; // of the timeline: what each shows, and where
let signals = []; // of the timeline that is drawn: how each column is read

const chart = () => find("stage-chart");
const chartWidth = () => chart().clientWidth;
const timeToX = (time) =>
  LABELS_PX + ((chartWidth() - LABELS_PX - RIGHT_PX) * Math.min(Math.max(time, 0), endsAt)) / endsAt;

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// one path for all columns of a signal: the band between the lowest and the highest of each
function band(lowest, highest, count, x, y) {
  let path = "";
  for (let column = 0; column < count; column += 1) {
    if (lowest[column] === NOTHING) continue;
    const [upper, lower] = [[], []];
    for (; column < count && lowest[column] !== NOTHING; column += 1) {
      upper.push(`${x(column).toFixed(1)} ${y(highest[column]).toFixed(1)}`);
      lower.push(`${x(column).toFixed(1)} ${y(lowest[column]).toFixed(1)}`);
    }
    path += `M${upper.join("L")}L${lower.reverse().join("L")}Z`;
  }
  return path;
}

const rounded = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.0+$/, ""));

function drawTimeline() {
  find("stage-timeline").hidden = !spans.length;
  rows = [];
  signals = [];
  if (!chartWidth() || !spans.length) return;
  const parts = [];
  let top = 2;
  const row = (name, height, label) => {
    rows.push({ name, top, height });
    label.forEach((text, line) => parts.push(written(0, top + 11 + 14 * line, text, line ? "unit" : "")));
    top += height + ROW_PX.gap;
    return rows.at(-1);
  };
  const offset = tracked ? tracked.span[0] : 0;
  if (tracked) {
    const { velocity, pupils } = tracked;
    if (velocity) parts.push(...drawVelocity(row("velocity", ROW_PX.velocity, ["velocity", velocity.unit])));
    if (pupils.length) parts.push(...drawPupils(row("pupil", ROW_PX.pupil, ["pupil", pupils[0].unit])));
  }
  parts.push(...drawFixations(row("scanpath", ROW_PX.bars + 3, ["scanpath"])));
  for (const one of tracked?.rows ?? []) {
    const { top: at, height } = row(one.name, ROW_PX.bars, [one.name]);
    for (const [code, begin, end] of one.bars)
      parts.push(bar(EVENTS[code], begin - offset, end - offset, at, height));
  }
  if (tracked && (tracked.lost.length || tracked.blinks.length)) {
    const { top: at, height } = row("lost", ROW_PX.bars, ["gaze lost"]);
    for (const [begin, end] of tracked.lost)
      parts.push(bar("lost", begin - offset, end - offset, at, height));
    for (const [begin, end] of tracked.blinks)
      parts.push(bar("blink", begin - offset, end - offset, at, height));
  }
  const bottom = top - ROW_PX.gap + 2;
  const shades = (tracked?.lost ?? []).map(([begin, end]) =>
    shade(begin - offset, end - offset, rows[0].top, bottom));
  const svg = chart();
  svg.setAttribute("viewBox", `0 0 ${chartWidth()} ${bottom + AXIS_PX}`);
  svg.setAttribute("height", bottom + AXIS_PX);
  svg.setAttribute("aria-label", described());
  svg.replaceChildren(
    ...shades, ...drawAxis(bottom), ...parts, svgElement("path", { class: "cursor", "data-bottom": bottom }));
  describeKeys();
  placeCursor(Number(find("stage-time").value));
}

function written(x, y, text, kind, anchor = "start") {
  const element = svgElement("text", { x, y, class: kind, "text-anchor": anchor });
  element.textContent = text;
  return element;
}

function titled(element, text) {
  element.append(svgElement("title", {}));
  element.lastChild.textContent = text;
  return element;
}

function bar(kind, begin, end, y, height) {
  const x = timeToX(begin);
  const width = Math.max(1, timeToX(end) - x);
  return titled(
    svgElement("rect", { class: `event ${kind}`, x, y, width, height }),
    `${kind === "lost" ? "gaze lost" : kind}: ${end - begin} ms, from ${begin} ms`);
}

function shade(begin, end, top, bottom) {
  const x = timeToX(begin);
  return svgElement("rect", {
    class: "shade", x, y: top, width: Math.max(1, timeToX(end) - x), height: bottom - top,
  });
}

function drawAxis(bottom) {
  const room = (chartWidth() - LABELS_PX - RIGHT_PX) / 80;
  const rough = endsAt / Math.max(2, Math.min(10, room));
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].find((one) => one * decade >= rough) * decade);
  const parts = [written(0, bottom + 16, "time", "")];
  for (let time = 0; time <= endsAt; time += step) {
    const x = timeToX(time);
    const last = time + step > endsAt;
    parts.push(svgElement("path", { class: "tick", d: `M${x} 0V${bottom + 4}` }));
    const text = time.toLocaleString("en") + (last ? " ms" : "");
    parts.push(written(x, bottom + 16, text, "unit", x > chartWidth() - 50 ? "end" : "middle"));
  }
  return parts;
}

function drawSignal(row, traces, bend) {
  const { columns, span } = tracked;
  const lasts = span[1] - span[0];
  const x = (column) => timeToX(((column + 0.5) * lasts) / columns);
  const y = (step) => row.top + row.height * (1 - step / STEPS);
  return traces.map((trace, number) => {
    const [lowest, highest] = [bytes(trace.lowest), bytes(trace.highest)];
    const value = (step) => bend(trace.low + (step / STEPS) * (trace.high - trace.low));
    const name = row.name === trace.name ? row.name : `${row.name} ${trace.name}`;
    signals.push({ name, unit: trace.unit, lowest, highest, value });
    return svgElement("path", {
      class: `signal ${row.name} trace${number}`, d: band(lowest, highest, columns, x, y),
    });
  });
}

function drawVelocity(row) {
  const { velocity, threshold } = tracked;
  const top = velocity.high ** 2;
  const at = (value) => row.top + row.height * (1 - Math.sqrt(value / top));
  const marks = [written(LABELS_PX - 8, row.top + 10, rounded(top), "unit", "end")];
  const lines = drawSignal(row, [velocity], (root) => root ** 2);
  if (threshold && velocity.unit === "deg/s" && threshold < top) {
    const y = at(threshold);
    marks.push(written(LABELS_PX - 8, y + 4, rounded(threshold), "unit", "end"));
    const line = svgElement("path", { class: "threshold", d: `M${LABELS_PX} ${y}H${chartWidth() - RIGHT_PX}` });
    marks.push(titled(line, `${threshold} deg/s: faster is a saccade`));
  }
  return [...lines, ...marks];
}

function drawPupils(row) {
  const [first] = tracked.pupils;
  return [
    ...drawSignal(row, tracked.pupils, (value) => value),
    written(LABELS_PX - 8, row.top + 10, rounded(first.high), "unit", "end"),
    written(LABELS_PX - 8, row.top + row.height, rounded(first.low), "unit", "end"),
  ];
}

function drawFixations(row) {
  return spans.flatMap((span) => {
    const [x, end] = [timeToX(span.begin), timeToX(span.end)];
    const fill = span.circle.getAttribute("fill");
    const width = Math.max(1, end - x - 1);
    const { top: y, height } = row;
    const block = titled(
      svgElement("rect", { x, y, width, height, fill, rx: 2 }),
      `fixation ${span.circle.dataset.n}: ${span.end - span.begin} ms, from ${span.begin} ms`);
    if (width < BAR_LABEL_PX) return [block];
    return [block, written(x + width / 2, y + height - 5, span.circle.dataset.n, "count", "middle")];
  });
}

function described() {
  const counted = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
  const told = [`Timeline: ${counted(spans.length, "fixation")} in ${(endsAt / 1000).toFixed(2)} s`];
  if (tracked?.velocity) {
    const { high, unit } = tracked.velocity;
    told.push(`velocity up to ${rounded(high ** 2)} ${unit}`);
  }
  for (const { name, low, high, unit } of tracked?.pupils ?? [])
    told.push(`pupil of the ${name} eye between ${rounded(low)} and ${rounded(high)} ${unit}`);
  if (tracked)
    told.push(`${counted(tracked.lost.length, "gap")} without gaze`, counted(tracked.blinks.length, "blink"));
  return told.join("; ");
}

function describeKeys() {
  for (const key of find("stage-keys").children) {
    const kind = key.dataset.key;
    key.hidden = !chart().querySelector(`.event.${kind}`);
  }
  const told = [];
  const { velocity, threshold, pupils, rows: listed } = tracked ?? { rows: [] };
  if (velocity) told.push("the axis of velocity is a square root");
  if (velocity?.unit === "px/s")
    told.push("it is in px/s, for neither eye positions nor a single screen are told");
  if (velocity?.unit === "deg/s" && threshold)
    told.push(`dashed: ${threshold} deg/s, from which the detector sees a saccade`);
  if (pupils?.length > 1) told.push("pupil: left strong, right faint");
  for (const { name, left_out } of listed)
    if (left_out) told.push(`${left_out.toLocaleString("en")} of the shortest events (${name}) are not drawn`);
  const text = told.join("; ");
  find("stage-timeline-note").textContent = text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function placeCursor(time) {
  const cursor = chart().querySelector(".cursor");
  cursor?.setAttribute("d", `M${timeToX(time)} 0V${cursor.dataset.bottom}`);
  find("stage-reading").textContent = tracked ? reading(time) : "";
}

// what the signals and both rows of events say at a time
function reading(time) {
  const { span, columns } = tracked;
  const share = time / Math.max(1, span[1] - span[0]);
  const column = Math.min(columns - 1, Math.floor(share * columns));
  const told = [];
  for (const signal of signals) {
    if (signal.lowest[column] === NOTHING) continue;
    const [low, high] = [signal.lowest, signal.highest].map((of) => rounded(signal.value(of[column])));
    told.push(`${signal.name} ${low === high ? low : `${low} to ${high}`} ${signal.unit}`);
  }
  const now = Math.min(time + span[0], span[1] - 1); // the end is that of the last sample
  const during = ([begin, end]) => begin <= now && now < end;
  const seen = tracked.rows.map(({ name, bars }) => {
    const found = bars.find(([, begin, end]) => during([begin, end]));
    return [name, found ? EVENTS[found[0]] : "nothing"];
  });
  if (tracked.blinks.some(during)) told.push("blink");
  else if (tracked.lost.some(during)) told.push("gaze lost");
  else if (new Set(seen.map(([, event]) => event)).size === 1) told.push(seen[0][1]);
  else told.push(...seen.map(([name, event]) => `${name}: ${event}`));
  return told.join(" · ");
}

function seek(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = chart().getBoundingClientRect();
  const share = (event.clientX - box.left - LABELS_PX) / (box.width - LABELS_PX - RIGHT_PX);
  stop();
  showTime(endsAt * Math.min(1, Math.max(0, share)));
}
chart().addEventListener("pointerdown", (event) => {
  chart().setPointerCapture(event.pointerId);
  seek(event);
});
chart().addEventListener("pointermove", seek);
new ResizeObserver(drawTimeline).observe(chart());

// ---------------------------------------------------------------- layers

// maps and outlines lie between the picture and the scanpath
function drawLayers() {
  const before = picture.querySelector(".path");
  const { width, height } = picture.viewBox.baseVal;
  const add = (element) => picture.insertBefore(element, before);
  add(svgElement("image", { class: "heat", width, height, preserveAspectRatio: "none" }));
  for (const name of ["pseudo", "reference"])
    if (layers[name])
      for (const part of ["outline-shade", "outline"])
        add(svgElement("path", { class: `${part} ${name}`, d: layers[name] }));
  find("stage-map-part").hidden = !maps().length;
  find("stage-mask-part").hidden = !layers.pseudo && !layers.reference;
  find("stage-pseudo").parentElement.hidden = !layers.pseudo;
  find("stage-reference").parentElement.hidden = !layers.reference;
  drawMaps();
}

const maps = () => (layers.heat ? [layers.heat, ...layers.levels] : []);

function mapName(number) {
  if (number === 0) return "none";
  if (number === 1) return "heatmap";
  const kept = LEVEL_NAMES[number - 2];
  return `level ${number - 1}${kept ? `, ${kept}` : ""}`;
}

function drawMaps() {
  const base = picture.querySelector("image:not(.heat)");
  const buttons = maps().map((source, index) => {
    const button = document.createElement("button");
    button.type = "button";
    const small = svgElement("svg", { viewBox: picture.getAttribute("viewBox"), "aria-hidden": true });
    if (base) small.append(base.cloneNode());
    const { width, height } = picture.viewBox.baseVal;
    small.append(svgElement("image", {
      class: "heat", href: source, width, height, preserveAspectRatio: "none",
    }));
    const caption = document.createElement("span");
    caption.textContent = mapName(index + 1);
    button.append(small, caption);
    button.addEventListener("click", () => {
      const chosen = Number(find("stage-map").value) === index + 1;
      find("stage-map").value = chosen ? 0 : index + 1;
      toggleLayers();
    });
    return button;
  });
  find("stage-levels").replaceChildren(...buttons);
  find("stage-levels").hidden = !buttons.length;
}

function toggleLayers() {
  const chosen = maps().length ? Number(find("stage-map").value) : 0;
  const heat = picture.querySelector("image.heat");
  if (chosen) heat.setAttribute("href", maps()[chosen - 1]);
  heat.style.display = chosen ? "" : "none";
  heat.style.opacity = find("stage-opacity").value;
  find("stage-map-name").textContent = mapName(chosen);
  [...find("stage-levels").children].forEach((button, index) =>
    button.setAttribute("aria-pressed", String(index + 1 === chosen)));
  for (const name of ["pseudo", "reference"])
    for (const one of picture.querySelectorAll(`.${name}`))
      one.style.display = find(`stage-${name}`).checked ? "" : "none";
  if (path) path.style.display = find("stage-path").checked ? "" : "none";
  for (const { number } of spans)
    number.style.display = find("stage-numbers").checked ? "" : "none";
}

function go(step) {
  const order = seen();
  const position = order.indexOf(current) + step;
  if (position >= 0 && position < order.length) openStage(order[position]);
}

find("stage-play").addEventListener("click", play);
find("stage-before").addEventListener("click", () => go(-1));
find("stage-next").addEventListener("click", () => go(1));
find("stage-close").addEventListener("click", () => stage.close());
find("stage-reader").addEventListener("input", chooseReader);
find("stage-panel").addEventListener("submit", (event) => event.preventDefault());
find("stage-time").addEventListener("input", (event) => {
  stop();
  showTime(Number(event.target.value));
});
for (const id of ["map", "opacity", "pseudo", "reference", "path", "numbers"])
  find(`stage-${id}`).addEventListener("input", toggleLayers);

stage.addEventListener("close", () => {
  stop();
  current?.querySelector(".open").focus();
});
document.addEventListener("keydown", (event) => {
  if (!stage.open || event.target.closest("input, select")) return;
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
  else if (event.key === " " && !event.target.closest("button")) play();
  else return;
  event.preventDefault();
});

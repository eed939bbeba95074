"use strict";

// Pictures are fetched when they come into sight; decisions are sent at once, and the page is
// loaded again, so that it shows what the file says.

const find = (id) => document.getElementById(id);

function tell(text) {
  find("trouble").textContent = text;
  find("trouble").hidden = !text;
}

// ---------------------------------------------------------------- list

async function fill(card) {
  const answer = await fetch(`/card/${card.dataset.card}`);
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  const picture = found.querySelector("svg.scan");
  if (picture) card.querySelector(".open").replaceChildren(picture);
  else card.append(found.querySelector(".lead") ?? "cannot be shown");
  card.classList.toggle("flagged", found.querySelector(".flags") !== null);
  card.append(...found.querySelectorAll(".flags, .remarks"));
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    observer.unobserve(entry.target);
    fill(entry.target).catch(() => tell("The viewer does not answer; is it still running?"));
  }
}, { rootMargin: "300px" });
for (const card of document.querySelectorAll("[data-card]")) observer.observe(card);

// ---------------------------------------------------------------- decisions

let busy = false;

async function send(path, told) {
  if (busy) return;
  busy = true;
  tell("");
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-Gazetools-Token": document.querySelector("[name=write-token]").content,
      },
      body: JSON.stringify(told),
    });
    if (answer.ok) return location.reload();
    const json = answer.headers.get("Content-Type") === "application/json";
    tell(json ? (await answer.json()).error : await answer.text());
  } catch {
    tell("The viewer does not answer; is it still running?");
  }
  busy = false;
}

const bench = document.querySelector(".bench[data-trial]");

function decide(action, more = {}) {
  const { stimulus, trial } = bench.dataset;
  send("/decide", {
    action, stimulus: Number(stimulus), trial: Number(trial), why: find("why").value, ...more,
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.takeBack) send("/take-back", { key: button.dataset.takeBack });
  else if (button.dataset.drop) decide("drop", { order: Number(button.dataset.drop) });
  else if (button.id === "exclude") decide("exclude");
  else if (button.id === "shift") shift();
});

function shift() {
  const [dx_im, dy_im] = [find("dx").valueAsNumber, find("dy").valueAsNumber];
  if (dx_im === 0 && dy_im === 0 && find("unshift")) find("unshift").click();
  else decide("shift", { dx_im, dy_im, whole: find("whole").checked });
}

// ---------------------------------------------------------------- scanpath

const picture = find("picture");
const scanpath = find("scanpath");
let grip = null; // where the scanpath is held, in the view box

function place() {
  const { across, down } = picture.dataset;
  const x = (find("dx").valueAsNumber || 0) * across;
  const y = (find("dy").valueAsNumber || 0) * down;
  scanpath.setAttribute("transform", `translate(${x} ${y})`);
}

function at(event) {
  const point = new DOMPoint(event.clientX, event.clientY);
  return point.matrixTransform(picture.getScreenCTM().inverse());
}

function rounded(value, input) {
  const step = Number(input.step);
  return Number((Math.round(value / step) * step).toFixed(3));
}

function grab(event) {
  if (event.button !== 0) return;
  const { x, y } = at(event);
  grip = { x, y, dx: find("dx").valueAsNumber || 0, dy: find("dy").valueAsNumber || 0 };
  picture.setPointerCapture(event.pointerId);
  picture.classList.add("moving");
  event.preventDefault();
}

function drag(event) {
  if (!grip) return;
  const { x, y } = at(event);
  find("dx").value = rounded(grip.dx + (x - grip.x) / picture.dataset.across, find("dx"));
  find("dy").value = rounded(grip.dy + (y - grip.y) / picture.dataset.down, find("dy"));
  place();
}

function release() {
  if (!grip) return;
  grip = null;
  picture.classList.remove("moving");
  const moved = ["dx", "dy"].some((id) => find(id).valueAsNumber !== Number(find(id).dataset.saved));
  if (moved) find("shift").click();
}

// The page itself must not scroll: the picture would move under the pointer that drags it.
function bringInto(row, box) {
  const [inner, outer] = [row.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.top < outer.top) box.scrollTop += inner.top - outer.top;
  else if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
}

function choose(order) {
  for (const one of document.querySelectorAll("[data-order]"))
    one.classList.toggle("chosen", one.dataset.order === order);
}

if (scanpath) {
  const rows = document.querySelector(".fixations");
  for (const part of [scanpath, rows])
    part.addEventListener("pointerover", (event) =>
      choose(event.target.closest("[data-order]")?.dataset.order));
  scanpath.addEventListener("pointerdown", (event) => {
    const order = event.target.closest("[data-order]")?.dataset.order;
    if (order) bringInto(rows.querySelector(`[data-order="${order}"]`), rows.closest(".scroll"));
  });
}
if (scanpath && find("shift")) {
  scanpath.addEventListener("pointerdown", grab);
  picture.addEventListener("pointermove", drag);
  picture.addEventListener("pointerup", release);
  picture.addEventListener("pointercancel", release);
  for (const id of ["dx", "dy"]) find(id).addEventListener("input", place);
}

// A graph of steps as inline SVG. Elements are patched in place by id, so keyboard focus, pan and zoom survive every
// refresh. All text goes through text nodes. Only a wheel turn with Ctrl zooms: the page keeps scrolling.
const SVG = "http://www.w3.org/2000/svg";
const views = new WeakMap();
const MIN_SCALE = 0.72;
const PAD = 22;
const HEAD = 24; // room for the tools above the drawing

const svg = (tag, attributes = {}, parent) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
};
const put = (element, name, value) => {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
};
const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

export default function ({ data, parentElement, setStateValue }) {
  let view = views.get(parentElement);
  if (!view) {
    view = build(parentElement);
    views.set(parentElement, view);
  }
  const shape = [data.width, data.height, data.direction].join();
  const reshaped = view.shape !== shape;
  Object.assign(view, { data, shape, select: (id) => setStateValue("selected", id), turn: (to) => setStateValue("direction", to) });
  view.frame.setAttribute("aria-label", data.label);
  view.turnButton.textContent = data.direction === "right" ? "swap_vert" : "swap_horiz";
  view.turnButton.setAttribute("aria-label", data.direction === "right" ? "Draw top-down" : "Draw left to right");
  view.turnButton.title = view.turnButton.getAttribute("aria-label");
  patchEdges(view);
  patchNodes(view);
  patchBands(view);
  if (reshaped) {
    view.isMoved = false;
    fit(view);
  }
  return () => view.observer.disconnect();
}

function build(parent) {
  const frame = document.createElement("div");
  frame.className = "frame";
  frame.setAttribute("role", "group");
  const canvas = svg("svg", { class: "canvas" });
  const marker = svg("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
  }, svg("defs", {}, canvas));
  svg("path", { d: "M1,1L7,4L1,7", fill: "none", stroke: "context-stroke", "stroke-width": 1.4 }, marker);
  const world = svg("g", {}, canvas);
  const view = {
    frame, canvas, world, edges: svg("g", {}, world), bands: svg("g", {}, world), nodes: svg("g", {}, world),
    edgeOf: new Map(), nodeOf: new Map(), scale: 1, x: 0, y: 0, isMoved: false, shape: "",
  };
  const tools = document.createElement("div");
  tools.className = "tools";
  const tool = (icon, label, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = icon;
    button.title = label;
    button.setAttribute("aria-label", label);
    button.onclick = act;
    tools.append(button);
    return button;
  };
  tool("zoom_in", "Zoom in", () => zoom(view, 1.2));
  tool("zoom_out", "Zoom out", () => zoom(view, 1 / 1.2));
  tool("fit_screen", "Fit", () => { view.isMoved = false; fit(view); });
  view.turnButton = tool("swap_vert", "Draw top-down", () => view.turn(view.data.direction === "right" ? "down" : "right"));
  frame.append(canvas, tools);
  parent.appendChild(frame);
  listen(view);
  view.observer = new ResizeObserver(() => { if (!view.isMoved) fit(view); });
  view.observer.observe(frame);
  return view;
}

function listen(view) {
  const { canvas } = view;
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(view, Math.exp(-event.deltaY * 0.0025), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from: [view.x, view.y], far: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag || drag.id !== event.pointerId) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    if (!drag.far) canvas.setPointerCapture(event.pointerId);
    drag.far = true;
    view.isMoved = true;
    moveTo(view, drag.from[0] + dx, drag.from[1] + dy);
  });
  const drop = (event) => {
    if (drag && !drag.far && event.type === "pointerup") {
      const hit = event.target.closest?.(".hit");
      if (hit) { hit.focus({ preventScroll: true }); view.select(hit.dataset.id); }
    }
    drag = null;
  };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("keydown", (event) => {
    const hit = event.target.closest(".hit");
    if (!hit || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(view, hit.dataset.id);
  });
}

const KEYS = {
  Enter: (view, id) => view.select(id),
  " ": (view, id) => view.select(id),
  Escape: (view) => view.select(null),
  ArrowRight: (view, id) => step(view, id, 1, 0),
  ArrowLeft: (view, id) => step(view, id, -1, 0),
  ArrowDown: (view, id) => step(view, id, 0, 1),
  ArrowUp: (view, id) => step(view, id, 0, -1),
  "+": (view) => zoom(view, 1.2),
  "-": (view) => zoom(view, 1 / 1.2),
  0: (view) => { view.isMoved = false; fit(view); },
};

function step(view, id, dx, dy) {
  const here = view.data.nodes.find((node) => node.id === id);
  let best = null;
  for (const node of view.data.nodes) {
    const along = (node.x - here.x) * dx + (node.y - here.y) * dy;
    const across = Math.abs((node.x - here.x) * dy) + Math.abs((node.y - here.y) * dx);
    if (node.id === id || along <= 4) continue;
    const distance = along + across * 2;
    if (!best || distance < best.distance) best = { node, distance };
  }
  if (best) focusNode(view, best.node);
}

function focusNode(view, node) {
  const element = view.nodeOf.get(node.id).hit;
  for (const other of view.nodeOf.values()) put(other.hit, "tabindex", other.hit === element ? 0 : -1);
  element.focus({ preventScroll: true });
  reveal(view, node);
}

function reveal(view, node) {
  const { card_width: width, card_height: height } = view.data;
  const [left, top] = [node.x * view.scale + view.x, node.y * view.scale + view.y];
  const [right, bottom] = [left + width * view.scale, top + height * view.scale];
  const x = left < PAD ? PAD - left : Math.min(0, view.frame.clientWidth - PAD - right);
  const y = top < PAD ? PAD - top : Math.min(0, view.frame.clientHeight - PAD - bottom);
  if (x || y) { view.isMoved = true; moveTo(view, view.x + x, view.y + y); }
}

function moveTo(view, x, y) {
  const [width, height] = [view.data.width * view.scale, view.data.height * view.scale];
  const [w, h] = [view.frame.clientWidth, view.frame.clientHeight];
  view.x = clamp(x, Math.min(PAD, w - width - PAD), Math.max(w - width - PAD, PAD));
  view.y = clamp(y, Math.min(PAD, h - height - PAD), Math.max(h - height - PAD, PAD + HEAD));
  view.world.setAttribute("transform", `translate(${view.x.toFixed(1)},${view.y.toFixed(1)}) scale(${view.scale.toFixed(4)})`);
}

function zoom(view, factor, atX = view.frame.clientWidth / 2, atY = view.frame.clientHeight / 2) {
  const scale = clamp(view.scale * factor, 0.2, 2.2);
  const ratio = scale / view.scale;
  view.scale = scale;
  view.isMoved = true;
  moveTo(view, atX - (atX - view.x) * ratio, atY - (atY - view.y) * ratio);
}

function fit(view) {
  const w = view.frame.clientWidth;
  if (!w || !view.data) return;
  view.scale = clamp((w - 2 * PAD) / view.data.width, MIN_SCALE, 1);
  const h = clamp(view.data.height * view.scale + 2 * PAD + HEAD, view.data.min_height, view.data.max_height);
  view.frame.style.height = `${Math.round(h)}px`;
  const [width, height] = [view.data.width * view.scale, view.data.height * view.scale];
  moveTo(view, Math.max(PAD, (w - width) / 2), Math.max(PAD + HEAD, (h - height + HEAD) / 2));
  const chosen = view.data.nodes.find((node) => node.id === view.data.selected);
  if (chosen) { reveal(view, chosen); view.isMoved = false; }
}

function patchEdges(view) {
  const kept = new Set();
  for (const edge of view.data.edges) {
    kept.add(edge.id);
    let known = view.edgeOf.get(edge.id);
    if (!known) {
      known = { path: svg("path", { "marker-end": "url(#arrow)" }, view.edges) };
      known.title = svg("title", {}, known.path);
      view.edgeOf.set(edge.id, known);
    }
    put(known.path, "d", edge.path);
    put(known.path, "class", `edge ${edge.state}`);
    write(known.title, edge.why);
  }
  forget(view.edgeOf, kept, (known) => known.path.remove());
}

function patchNodes(view) {
  const { nodes, selected, card_width: width, card_height: height } = view.data;
  const kept = new Set(nodes.map((node) => node.id));
  forget(view.nodeOf, kept, (known) => known.group.remove());
  const focusable = kept.has(selected) ? selected : [...view.nodeOf.values()].find((k) => k.hit.getAttribute("tabindex") === "0")?.hit.dataset.id ?? nodes[0]?.id;
  for (const node of nodes) {
    let known = view.nodeOf.get(node.id);
    if (!known) {
      known = card(view, node, width, height);
      view.nodeOf.set(node.id, known);
    }
    const { group, hit } = known;
    put(group, "transform", `translate(${node.x},${node.y})`);
    put(group, "class", `node is-${node.status}${node.id === selected ? " selected" : ""}`);
    put(hit, "aria-label", node.label);
    put(hit, "aria-pressed", node.id === selected);
    put(hit, "tabindex", node.id === focusable ? 0 : -1);
    put(known.stack, "visibility", node.is_stack ? "visible" : "hidden");
    write(known.icon, node.icon);
    put(known.state, "class", `state${node.status === "running" || node.status === "retrying" ? " spin" : ""}`);
    write(known.state, node.status_icon);
    fitText(known.title, node.title, width - 66);
    fitText(known.note, node.note, width - (node.figures ? 20 : 24));
    fitText(known.figures, node.figures, width - 24);
  }
}

function card(view, node, width, height) {
  // What is seen is hidden from screen readers; the rectangle over it is the button, and its label says it all.
  const group = svg("g", {}, view.nodes);
  const stack = svg("rect", { class: "stack", x: 5, y: 5, width, height, rx: 9 }, group);
  svg("rect", { class: "card", width, height, rx: 9 }, group);
  svg("path", { class: "bar", d: `M9,0H4.5V${height}H9A9,9 0 0 1 0,${height - 9}V9A9,9 0 0 1 9,0Z` }, group);
  svg("rect", { class: "ring", x: -3, y: -3, width: width + 6, height: height + 6, rx: 12 }, group);
  const icon = svg("text", { class: "icon", x: 14, y: 25 }, group);
  const title = svg("text", { class: "title", x: 37, y: 22 }, group);
  const state = svg("text", { class: "state", x: width - 26, y: 24 }, group);
  const note = svg("text", { class: "note", x: 14, y: 39.5 }, group);
  const figures = svg("text", { class: "figures", x: 14, y: 55 }, group);
  for (const part of group.children) part.setAttribute("aria-hidden", "true");
  const hit = svg("rect", { class: "hit", role: "button", width, height, rx: 9 }, group);
  hit.dataset.id = node.id;
  return { group, hit, stack, icon, title, state, note, figures };
}

function fitText(element, text, room) {
  if (element.dataset.full === text) return;
  element.dataset.full = text;
  element.textContent = text;
  if (!text || element.getComputedTextLength() <= room) return;
  let [low, high] = [1, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    element.textContent = `${text.slice(0, middle)}\u2026`;
    if (element.getComputedTextLength() <= room) low = middle;
    else high = middle - 1;
  }
  element.textContent = `${text.slice(0, low)}\u2026`;
}

function patchBands(view) {
  const written = JSON.stringify(view.data.bands);
  if (view.bandsWritten === written) return;
  view.bandsWritten = written;
  view.bands.replaceChildren();
  for (const band of view.data.bands) {
    svg("line", { class: "rule", x1: band.x, x2: view.data.width, y1: band.y - 18, y2: band.y - 18 }, view.bands);
    svg("text", { class: "band", x: band.x, y: band.y }, view.bands).textContent = band.text;
  }
}

function forget(known, kept, remove) {
  for (const [id, entry] of known)
    if (!kept.has(id)) {
      remove(entry);
      known.delete(id);
    }
}

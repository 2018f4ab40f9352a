"use strict";
const night = matchMedia("(prefers-color-scheme: dark)"), calm = matchMedia("(prefers-reduced-motion: reduce)");
const INKS = {"#000000": "#f2f4f7", "#555555": "#b3bcc8", "#0072B2": "#4aa8e8", "#D55E00": "#ff8a3d"};

function columns(spec, width) { // of a legend: as many as its longest name leaves room for
  const names = [...spec.matchAll(/"domain": ?(\[[^\]]*\])/g)].flatMap(found => JSON.parse(found[1])).map(String);
  return Math.max(1, Math.min(8, Math.floor(width / (34 + 7.2 * Math.max(...names.map(name => name.length), 1)))));
}

function look(width, columns) {
  const narrow = width < 560;
  const css = getComputedStyle(document.documentElement), color = name => css.getPropertyValue(name).trim();
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map(color);
  return {
    background: "transparent", font: css.getPropertyValue("font-family") || "sans-serif", view: {stroke: null},
    axis: {labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12,
           titleFontWeight: "normal", titlePadding: 8, labelLimit: narrow ? 150 : 260, tickCount: narrow ? 4 : 8},
    axisX: {titleAnchor: narrow ? "end" : "middle"},
    legend: {orient: "top", labelColor: ink, labelFontSize: 12.5, labelLimit: 260, columns, symbolSize: 110, offset: 22},
    text: {fontSize: 12},
  };
}

async function draw() {
  for (const box of document.querySelectorAll(".chart")) {
    const place = box.querySelector(".plot");
    let spec = box.querySelector("script").textContent;
    if (night.matches) for (const [day, dark] of Object.entries(INKS)) spec = spec.replaceAll(`"${day}"`, `"${dark}"`);
    if (!window.vegaEmbed || !place.clientWidth) continue;
    const options = {renderer: "svg", config: look(place.clientWidth, columns(spec, place.clientWidth)), actions: {export: true, source: false, compiled: false, editor: false},
                     tooltip: {theme: night.matches ? "dark" : "light"}};
    await vegaEmbed(place, JSON.parse(spec), options);
    box.dataset.drawn = "yes";
  }
}

function films() {
  for (const group of document.querySelectorAll(".films")) {
    const all = [...group.querySelectorAll("video")], button = group.previousElementSibling;
    const say = () => button.textContent = all.some(film => !film.paused) ? "Pause" : "Play";
    const start = () => all.forEach(film => { film.currentTime = 0; film.play().then(say, say); });
    button.onclick = () => { all.some(film => !film.paused) ? all.forEach(film => film.pause()) : start(); say(); };
    if (!calm.matches) new IntersectionObserver(seen => {
      if (seen.some(one => one.isIntersecting)) { if (all.every(film => film.paused)) start(); } else { all.forEach(film => film.pause()); say(); }
    }).observe(group);
  }
}

function contents() {
  const links = [...document.querySelectorAll(".contents a")], parts = links.map(link => document.querySelector(link.hash));
  const mark = () => {
    const reached = parts.findLastIndex(part => part && part.getBoundingClientRect().top < 120);
    links.forEach((link, number) => link.classList.toggle("here", number === reached));
  };
  addEventListener("scroll", mark, {passive: true});
  mark();
}

const key = text => {  // 12,000 | 0.85 (0.80 to 0.90) | [13] | 1:02:03, a duration -> a number; null for what begins with none
  const found = text.match(/^[\[(]?([-+\u2212]?)(\d{1,3}(?:,\d{3})+(?!\d)|\d+)((?::\d\d)+)?(\.\d+)?(?!\w)/);
  if (!found) return null;
  const whole = [found[2].replaceAll(",", ""), ...(found[3] || "").split(":").slice(1)].reduce((sum, part) => 60 * sum + +part, 0);
  return (whole + +(found[4] || 0)) * (/[-\u2212]/.test(found[1]) ? -1 : 1);
};

function sortable(table) {
  const rows = [...table.rows], heads = [...rows.shift().cells], body = rows.filter(row => !row.classList.contains("total"));
  if (body.length < 2 || heads.some(head => head.tagName !== "TH")) return;
  const text = (row, column) => row.cells[column]?.textContent.trim() ?? "";
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      body.forEach((row, i) => { if (i && !text(row, 0)) row.cells[0].textContent = text(body[i - 1], 0); });  // blank: as above
      const texts = body.map(row => text(row, column)).filter(Boolean), numbers = 2 * texts.filter(one => key(one) !== null).length > texts.length;
      const [first, second] = numbers ? ["descending", "ascending"] : ["ascending", "descending"];
      const order = {[first]: second, [second]: null}[head.getAttribute("aria-sort")], now = order === undefined ? first : order;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      if (now) head.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1, sorted = [...body];
      if (now) sorted.sort((a, b) => {
        const [x, y] = [a, b].map(row => numbers ? key(text(row, column)) : text(row, column) || null);
        if (x === null || y === null) return (x === null) - (y === null);  // what is not there comes last, in either order
        return sign * (numbers ? x - y : x.localeCompare(y, "en", {numeric: true}));
      });
      const end = rows.filter(row => row.classList.contains("total"));
      rows[0].parentNode.append(...sorted, ...end);
    };
  });
}

addEventListener("DOMContentLoaded", () => { draw(); films(); contents(); document.querySelectorAll("main table").forEach(sortable); });
night.addEventListener("change", draw);
document.addEventListener("toggle", event => { if (event.target.open) draw(); }, true);

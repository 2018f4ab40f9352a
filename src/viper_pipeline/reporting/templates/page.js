"use strict";
const night = matchMedia("(prefers-color-scheme: dark)"), calm = matchMedia("(prefers-reduced-motion: reduce)");
const INKS = {"#000000": "#f2f4f7", "#555555": "#b3bcc8", "#0072B2": "#4aa8e8", "#D55E00": "#ff8a3d"};

function look(narrow) {
  const css = getComputedStyle(document.documentElement), color = name => css.getPropertyValue(name).trim();
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map(color);
  return {
    background: "transparent", font: css.getPropertyValue("font-family") || "sans-serif", view: {stroke: null},
    axis: {labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12,
           titleFontWeight: "normal", titlePadding: 8, labelLimit: narrow ? 150 : 260, tickCount: narrow ? 4 : 8},
    legend: {orient: "top", labelColor: ink, labelFontSize: 12.5, labelLimit: 260, columns: narrow ? 3 : 8, symbolSize: 110, offset: 22},
    text: {fontSize: 12},
  };
}

async function draw() {
  for (const box of document.querySelectorAll(".chart")) {
    const place = box.querySelector(".plot");
    let spec = box.querySelector("script").textContent;
    if (night.matches) for (const [day, dark] of Object.entries(INKS)) spec = spec.replaceAll(`"${day}"`, `"${dark}"`);
    if (!window.vegaEmbed || !place.clientWidth) continue;
    const options = {renderer: "svg", config: look(place.clientWidth < 560), actions: {export: true, source: false, compiled: false, editor: false},
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

addEventListener("DOMContentLoaded", () => { draw(); films(); contents(); });
night.addEventListener("change", draw);
document.addEventListener("toggle", event => { if (event.target.open) draw(); }, true);

// Draws the charts in the colours of the reader's theme, sorts the table of trials, copies commands.
"use strict";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const figures = read("figures");
const dark = read("dark");
const darkness = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)").matches;

// Figures carry the light colours; only colours are replaced, never text that looks like one.
function themed(value, isColor, isDark) {
  if (typeof value === "string") return isColor && isDark ? dark[value] ?? value : value;
  if (Array.isArray(value)) return value.map((item) => themed(item, isColor, isDark));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, item]) => [key, themed(item, /color(scale)?$/.test(key), isDark)]);
  return Object.fromEntries(entries);
}

function draw(isDark) {
  for (const [name, figure] of Object.entries(figures)) {
    const { data, layout } = themed(figure, false, isDark);
    layout.autosize = true;
    layout.dragmode = touch ? false : "zoom"; // a finger on a chart scrolls the page
    if (touch) layout.xaxis.fixedrange = layout.yaxis.fixedrange = true;
    Plotly.react(`chart-${name}`, data, layout, {
      displayModeBar: touch ? false : "hover",
      displaylogo: false,
      modeBarButtons: [["toImage"]],
      toImageButtonOptions: { format: "png", filename: name, scale: 2 },
      responsive: true,
      showTips: false,
    });
  }
}

draw(darkness.matches);
darkness.addEventListener("change", () => draw(darkness.matches));
addEventListener("beforeprint", () => draw(false)); // paper is light
addEventListener("afterprint", () => draw(darkness.matches));

// Numbers before words, words by the alphabet, and what is missing last, whichever way the column is sorted.
function compare(first, second, way) {
  const missing = (first === "–") - (second === "–");
  if (missing) return missing;
  const [a, b] = [parseFloat(first), parseFloat(second)];
  if (!isNaN(a) && !isNaN(b)) return way * (a - b);
  return way * (isNaN(a) - isNaN(b) || first.localeCompare(second));
}

function sort(table, head) {
  const way = head.ariaSort === "ascending" ? -1 : 1;
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  const place = head.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [row.cells[place].textContent.trim(), row]);
  rows.sort((first, second) => compare(first[0], second[0], way));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.trials"))
  for (const head of table.tHead.rows[0].cells)
    head.querySelector("button").addEventListener("click", () => sort(table, head));

for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const text = button.parentNode.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentNode.querySelector("code")); // to be copied by hand
    }
  });

// Copying ids, the graph of a voucher, the charts of the network. Pages say everything without it.
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const said = document.getElementById("said");
  said.textContent = said.dataset.copied;
  button.classList.add("done");
  setTimeout(() => { button.classList.remove("done"); said.textContent = ""; }, 1500);
});

// The table of passages is the graph's only source, so both always say the same.
function elements(table) {
  const nodes = new Map();
  const edges = [];
  for (const { dataset } of table.tBodies[0].rows) {
    nodes.set(dataset.from, dataset.fromName);
    nodes.set(dataset.to, dataset.toName);
    edges.push({ data: { source: dataset.from, target: dataset.to, label: dataset.label }, classes: dataset.passage });
  }
  return [...[...nodes].map(([id, label]) => ({ data: { id, label } })), ...edges];
}

const TEXT = 13;
const FONT = getComputedStyle(document.body).fontFamily;

function textWidth(text) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${TEXT}px ${FONT}`;
  return pen.measureText(text).width;
}

function drawGraph() {
  const place = document.getElementById("graph");
  const table = document.getElementById("passages");
  if (!place || !table || !table.tBodies[0].rows.length) {
    if (place) place.hidden = true;
    return;
  }
  const graph = cytoscape({
    container: place,
    elements: elements(table),
    layout: { name: "dagre", rankDir: "LR", nodeSep: 30, rankSep: 130, edgeSep: 20, padding: 20 },
    userZoomingEnabled: false,
    autoungrabify: true,
    style: [
      { selector: "node", style: {
        shape: "round-rectangle", width: (node) => textWidth(node.data("label")) + 24, height: 34, label: "data(label)", "text-valign": "center",
        "font-size": TEXT, "font-family": FONT, color: colour("--ink"), "background-color": colour("--paper"),
        "border-width": 1.5, "border-color": colour("--accent"),
      } },
      { selector: "edge", style: {
        width: 1.5, "curve-style": "bezier", "target-arrow-shape": "triangle", "arrow-scale": 0.9, label: "data(label)",
        "font-size": 11, "font-family": FONT, color: colour("--quiet"), "text-background-color": colour("--sheet"), "text-background-opacity": 1,
        "text-background-padding": "2px", "line-color": colour("--held"), "target-arrow-color": colour("--held"),
      } },
      { selector: ".SALE", style: { "line-color": colour("--pending"), "target-arrow-color": colour("--pending") } },
      { selector: ".LOAN", style: { "line-style": "dashed", "line-color": colour("--pledged"), "target-arrow-color": colour("--pledged") } },
      { selector: ".FORCED, .GUARANTEE", style: { "line-color": colour("--ill"), "target-arrow-color": colour("--ill") } },
    ],
  });
  addEventListener("resize", () => graph.fit(undefined, 20));
}

const LINES = { per_second: "--held", mean_ms: "--held", longest_ms: "--pending" };

function drawChart(place, flow) {
  const lines = place.dataset.lines.split(" ");
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule") } };
  const chart = new uPlot({
    width: place.clientWidth,
    height: 190,
    legend: { show: false },
    cursor: { show: false },
    axes: [{ ...axis, values: (_chart, ticks) => ticks.map((at) => new Date(at * 1000).toISOString().slice(11, 19)), space: 80 }, axis],
    scales: { y: { range: (_chart, _least, most) => [0, most * 1.1 || 1] } },
    series: [{}, ...lines.map((line, number) => ({
      stroke: colour(LINES[line]), width: 1.5, fill: number ? undefined : colour(LINES[line]) + "22", spanGaps: true,
    }))],
  }, [flow.seconds, ...lines.map((line) => flow[line])], place);
  addEventListener("resize", () => chart.setSize({ width: place.clientWidth, height: 190 }));
}

async function drawCharts() {
  const charts = document.querySelector(".charts");
  if (!charts) return;
  const answer = await fetch(charts.dataset.source);
  if (!answer.ok) return;
  const flow = await answer.json();
  for (const place of charts.querySelectorAll(".chart")) {
    const known = place.dataset.lines.split(" ").some((line) => flow[line].some((value) => value !== null));
    if (known && flow.seconds.length > 1) drawChart(place, flow);
    else place.closest("section").hidden = true;
  }
}

if (typeof cytoscape === "function") drawGraph();
if (typeof uPlot === "function") drawCharts();

"use strict";
// Draws every chart from the data beside it, and asks the page's style for what depends on light
// and dark. Nothing else runs on the page: its content security policy allows these two scripts.
for (const data of document.querySelectorAll("figure script[type='application/json']")) {
  const chart = data.parentElement.querySelector(".chart");
  const { data: traces, layout } = JSON.parse(data.textContent);
  chart.replaceChildren();
  Plotly.newPlot(chart, traces, layout, { displayModeBar: false, responsive: true });
}
// Paper is narrower than the window.
for (const moment of ["beforeprint", "afterprint"]) {
  addEventListener(moment, () => {
    for (const chart of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(chart);
  });
}

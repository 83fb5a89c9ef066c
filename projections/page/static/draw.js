// Draws each figure the page carries. The tables stand without this script; where it fails, they are what is left.
"use strict";

for (const place of document.querySelectorAll("[data-figure]")) {
  const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, figure.data, figure.layout, { displayModeBar: false, responsive: true }).then(() => {
    place.dataset.drawn = "yes";
  });
}

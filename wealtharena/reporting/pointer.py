"""The only script of a page: it reads a chart's values at the pointer; without it nothing is missing."""

from __future__ import annotations

SCRIPT = """
for (const svg of document.querySelectorAll('svg[data-hover]')) {
  const data = JSON.parse(svg.dataset.hover), figure = svg.closest('figure');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  const tip = document.createElement('div');
  line.setAttribute('class', 'cursor'); line.setAttribute('y1', data.y[0]); line.setAttribute('y2', data.y[1]);
  tip.className = 'tip'; tip.hidden = true; line.style.display = 'none';
  svg.append(line); figure.append(tip);
  const words = v => (v > 0 ? '+' : v < 0 ? '\u2212' : '') +
    (data.k === 'percent' ? Math.abs(100 * v).toFixed(1) + '\u00a0%' : Math.abs(v).toFixed(2));
  const leave = () => { tip.hidden = true; line.style.display = 'none'; };
  const move = event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const at = (event.clientX - box.left) * scale;
    if (at < data.x[0] - 8 || at > data.x[data.x.length - 1] + 8) return leave();
    let i = 0;
    for (let k = 1; k < data.x.length; k++) if (Math.abs(data.x[k] - at) < Math.abs(data.x[i] - at)) i = k;
    line.setAttribute('x1', data.x[i]); line.setAttribute('x2', data.x[i]); line.style.display = '';
    tip.replaceChildren(); tip.hidden = false;
    const head = document.createElement('b'); head.textContent = data.t[i]; tip.append(head);
    const rows = data.s.filter(s => s[2][i] !== null).sort((a, b) => b[2][i] - a[2][i]);
    for (const [name, css, values] of rows) {
      const row = document.createElement('div'), left = document.createElement('span'), right = document.createElement('span');
      row.className = css; left.textContent = name; right.textContent = words(values[i]); row.append(left, right); tip.append(row);
    }
    const frame = figure.getBoundingClientRect(), x = data.x[i] / scale + box.left - frame.left;
    tip.style.left = (x > frame.width / 2 ? x - tip.offsetWidth - 12 : x + 12) + 'px';
    tip.style.top = (box.top - frame.top + 12) + 'px';
  };
  svg.addEventListener('pointermove', move); svg.addEventListener('pointerdown', move); svg.addEventListener('pointerleave', leave);
}
"""

// Draws curves of requests per second and memory as SVG, over a count on a logarithmic axis.

const width = 420;
const height = 240;
const margin = 50;

/** @typedef {{ open: number, rate: number, megabytes: number }} Point */
/** @typedef {{ title: string, points: readonly Point[] }} Curve */

/**
 * Draws one panel for each curve, side by side.
 *
 * @param {readonly Curve[]} curves
 */
export function plot(curves) {
  const all = curves.flatMap(({ points }) => points);
  const most = {
    rate: Math.max(...all.map(({ rate }) => rate)),
    megabytes: Math.max(...all.map(({ megabytes }) => megabytes)),
  };
  const panels = curves.map((curve, at) => panel(curve, { most, left: at * (width + margin) }));
  const whole = curves.length * (width + margin) + margin;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${whole} ${height + 2 * margin}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${panels.join('\n')}
</svg>
`;
}

/**
 * @param {Curve} curve
 * @param {{ most: { rate: number, megabytes: number }, left: number }} where
 */
function panel({ title, points }, { most, left }) {
  const last = Math.log10(Math.max(...points.map(({ open }) => open)));
  const x = (/** @type {number} */ open) => left + margin + (Math.log10(open) / last) * width;
  const y = (/** @type {number} */ share) => margin + height - share * height * 0.9;
  const line = (/** @type {string} */ colour, /** @type {(point: Point) => number} */ share) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map((point) => `${x(point.open)},${y(share(point))}`).join(' ')}"/>`;
  const labels = points.map(
    ({ open, rate, megabytes }) =>
      `<text x="${x(open)}" y="${margin + height + 15}" text-anchor="middle">${open.toLocaleString('en')}</text>
<text x="${x(open)}" y="${y(rate / most.rate) - 6}" text-anchor="middle" fill="#06c">${Math.round(rate / 1000)}k/s</text>
<text x="${x(open)}" y="${y(megabytes / most.megabytes) + 14}" text-anchor="middle" fill="#c60">${megabytes} MB</text>`,
  );
  return `<text x="${left + margin + width / 2}" y="${margin + height + 35}" text-anchor="middle" font-size="13">${title}</text>
<line x1="${left + margin}" y1="${margin + height}" x2="${left + margin + width}" y2="${margin + height}" stroke="black"/>
${line('#06c', ({ rate }) => rate / most.rate)}
${line('#c60', ({ megabytes }) => megabytes / most.megabytes)}
${labels.join('\n')}`;
}

// The pictures of docs/performance.md.
const colours = ['#b2182b', '#e08214', '#2166ac', '#1b7837'];
const [left, right, top, bottom] = [56, 836, 76, 372];
/** The ends of the logarithmic axis, in ms. */
const [least, most] = [0.01, 200_000];

const xOf = (ms) =>
	left + (Math.log(Math.max(ms, least) / least) / Math.log(most / least)) * (right - left);
const yOf = (share) => bottom - share * (bottom - top);
const label = (ms) => (ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`);
const line = (x1, y1, x2, y2, style) => `<path d="M${x1} ${y1}L${x2} ${y2}" ${style}/>`;
const text = (x, y, words, style = '') => `<text x="${x}" y="${y}" ${style}>${words}</text>`;

function drawSteps(ms, colour) {
	const points = [...ms]
		.sort((a, b) => a - b)
		.map((one, index) => `H${xOf(one).toFixed(1)}V${yOf((index + 1) / ms.length).toFixed(1)}`);
	return `<path d="M${left} ${bottom}${points.join('')}" fill="none" stroke="${colour}" stroke-width="2.5"/>`;
}

const gridLine = (y, words) =>
	line(left, y, right, y, 'stroke="#ddd"') + text(left - 8, y + 4, words, 'text-anchor="end"');
const tick = (x, words) =>
	line(x, bottom, x, bottom + 6, 'stroke="#222"') +
	text(x, bottom + 22, words, 'text-anchor="middle"');
const drawLegend = (names, width) =>
	names.map((name, index) => {
		const x = left + index * width;
		const key = line(x, 52, x + 20, 52, `stroke="${colours[index]}" stroke-width="4"`);
		return key + text(x + 26, 56, name);
	});

export function drawIncident({ columns }) {
	const names = Object.keys(columns);
	const title = 'The incident, replayed: the share of requests answered, or failed, within a time';
	return drawPage(title, [
		...[0, 0.25, 0.5, 0.75, 1].map((part) => gridLine(yOf(part), `${part * 100} %`)),
		...[0.01, 0.1, 1, 10, 100, 1_000, 10_000, 120_000].map((ms) => tick(xOf(ms), label(ms))),
		...drawLegend(names, 165),
		...names.map((name, index) => drawSteps(columns[name].ms, colours[index])),
	]);
}

/** The time of many at once, by their number, on two logarithmic axes. */
export function drawGrowth(growth) {
	const kinds = [...new Set(growth.map(({ kind }) => kind))];
	const atX = (count) => left + (Math.log10(count) / 3) * (right - left - 20);
	const atY = (ms) => bottom - (Math.log10(Math.max(ms, 1)) / 4) * (bottom - top);
	const curveOf = (name, index) => {
		const points = growth
			.filter(({ kind }) => kind === name)
			.map(({ count, ms }) => `${atX(count).toFixed(1)},${atY(ms).toFixed(1)}`);
		return `<polyline points="${points.join(' ')}" fill="none" stroke="${colours[index]}" stroke-width="2.5"/>`;
	};
	return drawPage('The time until the last one has its list, by their number', [
		...[1, 10, 100, 1_000, 10_000].map((ms) => gridLine(atY(ms), label(ms))),
		...[1, 10, 100, 1_000].map((count) => tick(atX(count), count.toLocaleString('en'))),
		...drawLegend(kinds, 220),
		...kinds.map(curveOf),
	]);
}

const drawPage = (title, parts) =>
	`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 420" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#222">
<title>${title}</title>
<rect width="860" height="420" fill="white"/>
${text(left, 28, title, 'font-size="15" font-weight="600"')}
${parts.join('\n')}
</svg>
`;

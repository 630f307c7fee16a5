// The incident as a picture: which share of the requests was answered within how long.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const colours = ['#b2182b', '#e08214', '#2166ac', '#1b7837'];
const format = (ms) => (ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`);

export function drawIncident(columns) {
	const { document } = parseHTML('<html><body></body></html>');
	const names = Object.keys(columns);
	const steps = names.flatMap((name) => {
		const sorted = [...columns[name].ms].sort((a, b) => a - b);
		return sorted.map((ms, index) => ({ name, ms, share: ((index + 1) / sorted.length) * 100 }));
	});
	const labels = names.map((name, index) => {
		const sorted = [...columns[name].ms].sort((a, b) => a - b);
		// At different heights, for two of the lines lie side by side.
		const share = [0.3, 0.62, 0.8, 0.7][index];
		const isLeft = index === 1 || index === 2;
		return { name, ms: sorted[Math.floor(sorted.length * share)], share: share * 100, isLeft };
	});
	const svg = Plot.plot({
		document,
		width: 860,
		height: 420,
		marginLeft: 56,
		marginRight: 24,
		marginTop: 72,
		marginBottom: 44,
		style: { background: 'white', color: '#222', fontSize: '13px', fontFamily: 'system-ui, sans-serif' },
		x: {
			type: 'log',
			domain: [0.2, 200_000],
			ticks: [1, 10, 100, 1_000, 10_000, 120_000],
			tickFormat: format,
			label: 'answered, or failed, within',
			labelAnchor: 'center',
			labelArrow: 'none',
		},
		y: { domain: [0, 100], ticks: 5, grid: true, label: null },
		color: { domain: names, range: colours },
		marks: [
			Plot.ruleX([1_000], { stroke: '#bbb', strokeDasharray: '4 4' }),
			Plot.lineY(steps, { x: 'ms', y: 'share', stroke: 'name', curve: 'step-after', strokeWidth: 2.5 }),
			...labels.map(({ isLeft, ...label }, index) =>
				Plot.text([label], {
					x: 'ms',
					y: 'share',
					text: 'name',
					fill: colours[index],
					textAnchor: isLeft ? 'end' : 'start',
					dx: isLeft ? -12 : 12,
					stroke: 'white',
					strokeWidth: 5,
					fontWeight: 600,
				}),
			),
			Plot.text(['requests, %'], { frameAnchor: 'top-left', dy: -28, dx: -44 }),
			Plot.text(['The incident, replayed: 168 requests in a day, 3 of 100 fetches never answered'], {
				frameAnchor: 'top-left',
				dy: -60,
				fontWeight: 600,
				fontSize: 15,
			}),
		],
	});
	svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
	svg.setAttribute('role', 'img');
	svg.setAttribute(
		'aria-label',
		'Share of requests answered within a time, for four ways to list the models',
	);
	return `${svg.outerHTML}\n`;
}

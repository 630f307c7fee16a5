import { expect, test } from 'vitest';
import { untilGone } from '../harness.js';
import { converse, expectModel } from './bare-conversation.js';
import { decideCell, makeHome, makeReleaseCatalog, releases, ways } from './release-harness.js';

test.each(releases.flatMap((release) => ways.map((way) => ({ ...way, ...release, release }))))(
	'$version through $way lists the models of a bare conversation in both views, with one process that exits with code 0',
	async ({ release, toCommand }) => {
		decideCell(release, 'views');
		const { catalog, codexHome, events } = makeReleaseCatalog(toCommand(release));
		const visible = await catalog.list();
		const all = await catalog.list({ includeHidden: true });
		expect(events.count('spawned')).toBe(1);
		const { pid } = await events.nth('spawned');
		expect(await events.nth('exited')).toMatchObject({ pid, exitCode: 0, signal: null });
		await untilGone(pid);

		expect(all).toEqual((await converse(release, codexHome, true)).map(expectModel));
		expect(visible).toEqual((await converse(release, codexHome, false)).map(expectModel));
		expect(visible.length).toBeGreaterThan(0);
		expect(visible.filter(({ isDefault }) => isDefault)).toHaveLength(1);
	},
);

test.each(releases)(
	'$version with an API key lists without a network, and exits',
	async (release) => {
		decideCell(release, 'views');
		const key = 'sk-no-such-key';
		const codexHome = makeHome({ 'auth.json': JSON.stringify({ OPENAI_API_KEY: key }) });
		const { catalog, events } = makeReleaseCatalog(release, { codexHome });
		expect((await catalog.list()).length).toBeGreaterThan(0);
		const { pid } = await events.nth('exited');
		await untilGone(pid);
		expect(JSON.stringify(events.all)).not.toContain(key);
	},
);

const median = (numbers: number[]) => numbers.sort((a, b) => a - b)[numbers.length >> 1] as number;

test.each(releases)('$version lists within seconds when cold', async (release) => {
	const { catalog, events } = makeReleaseCatalog(release);
	await catalog.list();
	const taken: number[] = [];
	for (let run = 1; run <= 7; run++) {
		// The previous process has ended: it costs this one no time.
		await events.nth('exited', run);
		const startedAt = performance.now();
		await catalog.list({ refresh: true });
		taken.push(performance.now() - startedAt);
	}
	const tensOfMs = Math.max(1, Math.round(median(taken) / 10));
	decideCell(release, 'coldList', String(tensOfMs * 10));
	expect(median(taken)).toBeLessThan(5_000);
});

import { expect, test, vi } from 'vitest';
import { sleep, unrefTimers } from '../../src/system/timers.js';
import { failureOf, idsOf, makeCatalog, plainModel } from '../harness.js';

const fetchModels = async () => ({ models: [plainModel('a')] });

test('the wait of a caller keeps the process alive, and background work does not', async () => {
	const count = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
	const before = count();
	const { catalog } = makeCatalog({ fetchModels: () => new Promise(() => {}) });
	const waiting = failureOf(catalog.list());
	expect(count()).toBe(before + 1);
	const timer = unrefTimers.setTimeout(() => {}, 60_000);
	expect(count()).toBe(before + 1);
	unrefTimers.clearTimeout(timer);
	const closing = catalog.close();
	expect(await waiting).toMatchObject({ code: 'ERR_CODEX_CLOSED' });
	await closing;
	expect(count()).toBe(before);
});

test('a sleep is real where a test has replaced the clock, and other timers follow the fake ones', async () => {
	vi.useFakeTimers();
	await sleep(1);
	const { catalog } = makeCatalog({ fetchModels: () => new Promise(() => {}), deadlineMs: 7_000 });
	const waiting = failureOf(catalog.list());
	await vi.advanceTimersByTimeAsync(7_000);
	expect(await waiting).toMatchObject({ code: 'ERR_CODEX_TIMEOUT' });
});

test.skipIf(process.platform === 'win32')(
	'a catalog works where the global timers are numbers, as in a renderer of Electron and in jsdom',
	async () => {
		for (const kind of ['setTimeout', 'setInterval'] as const) {
			const original = globalThis[kind] as (...args: unknown[]) => NodeJS.Timeout;
			vi.stubGlobal(kind, (...args: unknown[]) => Number(original(...args)));
		}
		const started = setTimeout(() => {}, 60_000);
		expect(started).toBeTypeOf('number');
		clearTimeout(started);
		const { catalog } = makeCatalog({ fetchModels });
		expect(idsOf(await catalog.list())).toEqual(['a']);
		const app = makeCatalog({ command: '/bin/sh', args: ['-c', 'exit 3'], retries: 1 });
		expect(await failureOf(app.catalog.list())).toMatchObject({ exitCode: 3 });
		await Promise.all([catalog.close(), app.catalog.close()]);
		vi.unstubAllGlobals();
	},
);

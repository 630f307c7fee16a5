import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { newPage, openPicker, partsOf, useBrowser } from './open-picker.js';
import { answers, lists, refuses, startPicker, wireModel } from './start-picker.js';

useBrowser();

/** With PICKER_PICTURES=FOLDER, the pictures stay; docs/picker.png is `light.png`. */
async function takePicture(page: Page, name: string) {
	const folder = process.env.PICKER_PICTURES;
	if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}

const families = [
	['Sol', 'Workhorse for coding and everyday work.', 'low', 'medium', 'high', 'xhigh'],
	['Astra', 'Frontier intelligence for the most demanding work.', 'medium', 'high', 'xhigh'],
	['Luna', 'Fast and affordable for easier tasks.', 'low', 'medium', 'high'],
];
const sixty = Array.from({ length: 60 }, (_, index) => {
	const [family = '', description, ...efforts] = families[index % 3] ?? [];
	const name = `GPT-${(7 - Math.floor(index / 3) / 10).toFixed(1)}-${family}`;
	const displayName = index < 59 ? name : 'Unbroken'.repeat(9);
	return wireModel(displayName.toLowerCase(), {
		displayName,
		description,
		isDefault: index === 0,
		supportedReasoningEfforts: efforts.map((reasoningEffort) => ({ reasoningEffort })),
		defaultReasoningEffort: 'medium',
		serviceTiers: family === 'Sol' ? [{ id: 'priority', name: 'Fast' }] : [],
	});
});
const manyModels = answers(sixty, { model: 'gpt-6.1-astra' });

for (const colorScheme of ['light', 'dark'] as const) {
	test(`sixty models fit 320 pixels in ${colorScheme} colors, the configured one in view`, async () => {
		const { page, rows, group } = await openPicker([manyModels], { colorScheme });
		await rows.first().waitFor();
		await takePicture(page, colorScheme);
		await page.setViewportSize({ width: 320, height: 480 });
		await page.reload();
		await rows.first().waitFor();
		const list = await group.boundingBox();
		const row = await rows.filter({ has: page.locator(':checked') }).boundingBox();
		expect(row?.y).toBeGreaterThan(list?.y ?? Number.NaN);
		expect((row?.y ?? Number.NaN) + (row?.height ?? 0)).toBeLessThan(480);
		const sideways = '(part) => part.scrollWidth - part.clientWidth';
		const parts = `[document.documentElement, document.querySelector('#list')].map(${sideways})`;
		expect(await page.evaluate(parts)).toEqual([0, 0]);
		const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
		expect(background).toBe(colorScheme === 'dark' ? 'rgb(15, 19, 24)' : 'rgb(243, 245, 248)');
	});
}

test('a filter finds models by their words, and the keyboard picks one of those', async () => {
	const { page, rows, filter, status, refresh } = await openPicker([manyModels, lists('a')]);
	await filter.fill('fast 6. SOL xh');

	expect(await rows.count()).toBe(10);
	expect(await status.textContent()).toContain('10 found in 60 models');
	expect(await page.locator(':checked').count()).toBe(0);
	for (const key of ['Tab', 'ArrowDown']) await page.keyboard.press(key);
	await filter.fill('');
	expect(await rows.count()).toBe(60);
	expect(await page.locator(':checked').inputValue()).toBe('gpt-6.8-sol');
	await refresh.click();
	await filter.waitFor({ state: 'hidden' });
	expect(await rows.allInnerTexts()).toEqual(['A a']);
});

test('an old list stays with its age and a plain reason, until a refresh succeeds', async () => {
	const steps = [manyModels, refuses('The backend is down'), manyModels];
	const { page, old, alert, rows, refresh, status } = await openPicker(steps);
	await rows.first().waitFor();
	await page.clock.install({ time: Date.now() + 3 * 3_600_000 });

	await refresh.click();
	await old.getByText('The list could not be refreshed. Codex answered').waitFor();
	expect(await status.textContent()).toContain('60 models updated 3 hours ago');
	expect(await old.getByText(/phase/).isVisible()).toBe(false);
	await old.getByText('Details').click();
	await old.getByText('The backend is down').waitFor();
	expect(await alert.count()).toBe(0);
	await takePicture(page, 'old');
	await refresh.click();
	await old.waitFor({ state: 'hidden' });
	expect(await rows.count()).toBe(60);
});

test('a lost connection is shown until the server is back', async () => {
	const { old, rows, server } = await openPicker([lists('a')]);
	await rows.waitFor();
	server.closeAllConnections();
	await old.filter({ hasText: 'The connection to the server is lost.' }).waitFor();
	expect(await rows.count()).toBe(1);
	await old.waitFor({ state: 'hidden' });
});

test('a page without a stream says so, and shows the list and its warnings', async () => {
	const warnings = [{ type: 'built-in-list', message: 'failed to refresh' }] as const;
	const fetchModels = async () => ({ models: [wireModel('b')], warnings });
	const { url } = await startPicker([], { fetchModels }, { maxStreams: 0 });
	const page = await newPage();
	await page.goto(url);

	await partsOf(page).old.filter({ hasText: 'too many pages are open' }).waitFor();
	expect(await partsOf(page).rows.allInnerTexts()).toEqual(['B b']);
	const warning = page.getByRole('status').filter({ hasText: 'This list may be wrong.' });
	await warning.getByText('Details').click();
	await warning.getByText('failed to refresh').waitFor();
});

test('a page of another site can neither frame the picker nor start an app-server', async () => {
	const { appServer, url } = await startPicker([lists('secret')]);
	const page = await newPage();
	const body = `<iframe src="${url}"></iframe><img src="${url}codex-models"><script>
		fetch('${url}codex-models', { method: 'POST', mode: 'no-cors' }).catch(() => document.title = 1)
	</script>`;
	const other = await startPicker([lists('other')]);
	other.server.removeAllListeners('request');
	other.server.on('request', (_, response) => response.end(`<!doctype html>${body}`));
	await page.goto(other.url);
	await page.waitForFunction('document.title === "1"');
	expect(page.frames()[1]?.url()).toMatch(/^chrome-error:/);
	expect(appServer.starts).toBe(0);
});

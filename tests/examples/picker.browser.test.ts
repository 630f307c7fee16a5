import { expect, test } from 'vitest';
import type { Step } from '../harness.js';
import { newPage, openPicker, partsOf, useBrowser } from './open-picker.js';
import { lists, refuses, wireModel } from './start-picker.js';

// PICKER_SCREENSHOT=docs/picker.png makes the picture of the README as well.

useBrowser();

test('the picker says that it loads until the list is there', async () => {
	const { page, appServer, status, group, rows } = await openPicker([
		['answers', { models: [wireModel('a')], gates: { 'model/list': 'go' } }],
	]);

	expect(await status.textContent()).toBe('Loading models…');
	expect(await group.getAttribute('aria-busy')).toBe('true');
	expect(await rows.count()).toBe(0);

	appServer.open('go');
	await rows.waitFor();
	expect(await status.textContent()).toBe('1 model');
	expect(await group.getAttribute('aria-busy')).toBe('false');
	expect(await page.locator('.placeholder').count()).toBe(0);
});

test('the picker marks the default and the configured model, and picks the configured one', async () => {
	const { rows, radios, page } = await openPicker([
		[
			'answers',
			{
				models: [
					wireModel('a', { isDefault: true, description: 'The first.' }),
					wireModel('b', {
						supportedReasoningEfforts: [{ reasoningEffort: 'low' }, { reasoningEffort: 'high' }],
						defaultReasoningEffort: 'high',
					}),
					wireModel('c'),
				],
				config: { model: 'b' },
			},
		],
	]);
	await rows.first().waitFor();

	expect(await rows.allInnerTexts()).toEqual([
		'ADefault\nThe first.',
		'BConfigured\nReasoning effort: low, high (default)',
		'C',
	]);
	expect(await page.locator(':checked').inputValue()).toBe('b');
	await page.keyboard.press('Tab');
	await page.keyboard.press('Tab');
	await page.keyboard.press('ArrowDown');
	expect(await radios.nth(2).isChecked()).toBe(true);
});

test('a configured model that is not on the list has a row of its own', async () => {
	const { rows, page } = await openPicker([
		['answers', { models: [wireModel('a', { isDefault: true })], config: { model: 'my-model' } }],
	]);
	await rows.first().waitFor();

	expect(await rows.allInnerTexts()).toEqual([
		expect.stringMatching(/^my-modelConfigured\n.*not on the list/),
		'ADefault',
	]);
	expect(await page.locator(':checked').inputValue()).toBe('my-model');
});

test('an old list stays, with its age and the reason, until a refresh succeeds', async () => {
	const { page, old, alert, rows, refresh } = await openPicker([
		lists('a'),
		refuses('The backend is down'),
		lists('a'),
	]);
	await rows.waitFor();
	await page.clock.install({ time: Date.now() + 3 * 3_600_000 });

	await refresh.click();
	await old.filter({ hasText: 'This list is from 3 hours ago.' }).waitFor();
	expect(await old.textContent()).toContain('The backend is down');
	expect(await alert.count()).toBe(0);
	expect(await rows.allInnerTexts()).toEqual(['A']);

	await refresh.click();
	await old.waitFor({ state: 'hidden' });
});

test('without a list the picker shows the message of the error, and a refresh brings the list', async () => {
	const { status, alert, rows, refresh, group } = await openPicker([
		refuses('Not logged in'),
		lists('a'),
	]);

	await alert.filter({ hasText: 'Not logged in' }).waitFor();
	expect(await status.textContent()).toBe('No models');
	expect(await group.count()).toBe(0);

	await refresh.click();
	await rows.waitFor();
	expect(await alert.count()).toBe(0);
});

test('the button keeps the focus while it refreshes, and a second click starts nothing', async () => {
	const { page, appServer, refresh, rows } = await openPicker([
		lists('a'),
		['answers', { models: [wireModel('b')], gates: { 'model/list': 'go' } }],
	]);
	await rows.waitFor();

	await refresh.click();
	expect(await refresh.textContent()).toBe('Refreshing…');
	expect(await refresh.getAttribute('aria-disabled')).toBe('true');
	await refresh.click({ force: true });
	appServer.open('go');
	await rows.filter({ hasText: 'B' }).waitFor();
	await page.getByRole('button', { name: 'Refresh', exact: true }).waitFor();
	expect(await page.locator('button:focus').count()).toBe(1);
	expect(appServer.starts).toBe(2);
});

test('a change reaches every open page, and what the user picked and the focus stay', async () => {
	const { page, catalog, url, rows, radios } = await openPicker([
		lists('a', 'b'),
		lists('new', 'a', 'b'),
	]);
	const other = await newPage();
	await other.goto(url);
	await partsOf(other).rows.first().waitFor();
	await rows.first().waitFor();
	await radios.nth(1).check();

	await catalog.list({ refresh: true });
	await rows.nth(2).waitFor();
	await partsOf(other).rows.nth(2).waitFor();
	expect(await page.locator(':checked:focus').inputValue()).toBe('b');
});

test('a lost connection is shown, and ends when the server is back', async () => {
	const { old, rows, server } = await openPicker([lists('a')]);
	await rows.waitFor();

	server.closeAllConnections();
	await old.filter({ hasText: 'The connection to the server is lost.' }).waitFor();
	expect(await rows.count()).toBe(1);
	await old.waitFor({ state: 'hidden' });
});

test('markup and control characters in a name are shown as text', async () => {
	const { page, rows } = await openPicker([
		[
			'answers',
			{
				models: [
					wireModel('markup', { displayName: '<img src=x onerror="document.title=1"><b>bold</b>' }),
					wireModel('control', {
						displayName: 'one\u0000two\u001b[31m\u202ethree\u2066',
						description: '&lt;i&gt;',
					}),
				],
				config: { model: '<script>document.title = 2</script>' },
			},
		],
	]);
	await rows.first().waitFor();

	expect(await rows.locator('.name').allTextContents()).toEqual([
		'<script>document.title = 2</script>',
		'<img src=x onerror="document.title=1"><b>bold</b>',
		expect.stringMatching(/^one two \[31m three ?$/),
	]);
	expect(await rows.nth(2).locator('.soft').textContent()).toBe('&lt;i&gt;');
	expect(await page.locator('img, b, i, fieldset script').count()).toBe(0);
	expect(await page.title()).toBe('Codex models');
});

test.runIf(process.env.PICKER_SCREENSHOT)('the picture of the README', async () => {
	const efforts = (...names: string[]) => ({
		supportedReasoningEfforts: names.map((reasoningEffort) => ({ reasoningEffort })),
		defaultReasoningEffort: 'medium',
	});
	const model = (displayName: string, description: string, rest: object) =>
		wireModel(displayName.toLowerCase(), { displayName, description, ...rest });
	const models = [
		model('GPT-6.1-Sol', 'Latest workhorse model for coding and everyday work.', {
			isDefault: true,
			...efforts('low', 'medium', 'high', 'xhigh', 'max'),
		}),
		model(
			'GPT-6-Astra',
			'Frontier intelligence for the most demanding work.',
			efforts('medium', 'high', 'max'),
		),
		model(
			'GPT-6-Luna',
			'Fast and affordable model for easier tasks.',
			efforts('low', 'medium', 'high'),
		),
	];
	const answers: Step = ['answers', { models, config: { model: 'gpt-6-astra' } }];
	const pictures: string[] = [];
	for (const colorScheme of ['light', 'dark'] as const) {
		const { page, rows, old, refresh } = await openPicker(
			[answers, refuses('The backend is down')],
			{
				colorScheme,
				viewport: { width: 560, height: 540 },
				deviceScaleFactor: 1.5,
			},
		);
		await rows.first().waitFor();
		if (colorScheme === 'dark') {
			await page.clock.install({ time: Date.now() + 3 * 3_600_000 });
			await refresh.click();
			await old.filter({ hasText: '3 hours' }).waitFor();
			await page.mouse.move(0, 0);
			await refresh.blur();
		}
		pictures.push((await page.screenshot()).toString('base64'));
	}
	const both = await newPage({ viewport: { width: 1120, height: 540 }, deviceScaleFactor: 1.5 });
	const images = pictures.map(
		(picture) => `<img width=560 src="data:image/png;base64,${picture}">`,
	);
	await both.setContent(`<body style="margin:0;display:flex">${images.join('')}`);
	await both.screenshot({ path: process.env.PICKER_SCREENSHOT });
});

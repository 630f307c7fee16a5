import { expect, test } from 'vitest';
import { newPage, openPicker, partsOf, useBrowser } from './open-picker.js';
import { answers, answersLate, lists, refuses, wireModel } from './start-picker.js';

useBrowser();

test('the picker says that it asks, over an outline of rows, until the list is there', async () => {
	const { page, appServer, status, group, rows } = await openPicker([answersLate('a')]);
	expect(await status.textContent()).toContain('Asking Codex for its models…');
	expect(await group.getAttribute('aria-busy')).toBe('true');
	expect(await page.locator('.placeholder:visible').count()).toBe(3);
	appServer.open('go');
	await rows.waitFor();
	expect(await status.textContent()).toContain('1 model updated less than a minute ago');
	expect(await group.getAttribute('aria-busy')).toBe('false');
	expect(await page.locator('.placeholder').count()).toBe(0);
});

test('a row is read as name, badges, id, description, efforts and tiers, each apart', async () => {
	const b = {
		description: 'The second.',
		supportedReasoningEfforts: [{ reasoningEffort: 'low' }, { reasoningEffort: 'high' }],
		defaultReasoningEffort: 'high',
		serviceTiers: [{ id: 'priority', name: 'Fast' }, { id: 'flex' }],
	};
	const models = [wireModel('a', { isDefault: true }), wireModel('b', b), wireModel('c')];
	const { page } = await openPicker([answers(models, { model: 'b' })]);

	const facts = 'Reasoning effort: low, high (default) · Service tier: Fast, flex';
	const names = ['A Default a', `B Configured b The second. ${facts}`, 'C c'];
	for (const name of names) await page.getByRole('radio', { name, exact: true }).waitFor();
	for (const key of ['Tab', 'Tab']) await page.keyboard.press(key);
	expect(await page.locator(':focus:checked').inputValue()).toBe('b');
});

test('without a list the picker says why in plain words; a refresh, once at a time, brings the list', async () => {
	const steps = [refuses('No'), answersLate('a')];
	const { page, appServer, alert, status, group, refresh, rows } = await openPicker(steps);
	await alert.filter({ hasText: 'There is no list yet. Codex answered with an error.' }).waitFor();
	expect(await status.textContent()).toMatch(/^No models $/);
	expect(await group.count()).toBe(0);

	const posts: string[] = [];
	page.on('request', (request) => posts.push(request.method()));
	await refresh.click();
	expect(await refresh.textContent()).toBe('Refreshing…');
	expect(await refresh.getAttribute('aria-disabled')).toBe('true');
	await refresh.click({ force: true });
	appServer.open('go');
	await rows.waitFor();
	await page.getByRole('button', { name: 'Refresh', exact: true }).waitFor();
	expect(await page.locator('button:focus').count()).toBe(1);
	expect(await alert.count()).toBe(0);
	expect(posts).toEqual(['POST']);
});

test('a change reaches each open page, which keeps the choice and the focus until the list is cleared', async () => {
	const steps = [lists('a', 'b'), lists('new', 'a', 'b'), refuses('Logged out')];
	const { page, catalog, url, rows, radios, alert } = await openPicker(steps);
	const other = await newPage();
	await other.goto(url);
	await partsOf(other).rows.first().waitFor();
	await radios.nth(1).check();

	await catalog.list({ refresh: true });
	await rows.nth(2).waitFor();
	await partsOf(other).rows.nth(2).waitFor();
	expect(await page.locator(':checked:focus').inputValue()).toBe('b');
	catalog.clear();
	for (const part of [alert, partsOf(other).alert]) await part.waitFor();
	expect(await rows.count()).toBe(0);
});

test('names are shown as text, also that of a configured model that Codex does not list', async () => {
	const image = '<img src=x onerror="document.title=1">';
	const models = [
		wireModel('control', { displayName: 'one\u0000two\u001b[31m\u202ethree\u2066' }),
		wireModel('markup', { displayName: image, description: '&lt;' }),
	];
	const steps = [answers(models, { model: '<script></script>' })];
	const { page, rows, status } = await openPicker(steps);
	await rows.first().waitFor();

	expect(await rows.locator('.name').allTextContents()).toEqual([
		'<script></script>',
		expect.stringMatching(/^one two \[31m three ?$/),
		image,
	]);
	expect(await rows.nth(2).locator('.soft').textContent()).toBe('&lt;');
	expect(await page.locator('img, label script').count()).toBe(0);
	expect(await page.title()).toBe('Codex models');
	expect(await rows.first().textContent()).toContain(' Configured The configuration names');
	expect(await page.locator(':checked').inputValue()).toBe('<script></script>');
	expect(await status.textContent()).toMatch(/^2 models /);
});

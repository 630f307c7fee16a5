import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { afterTest, type Step } from '../harness.js';
import { startPicker } from './start-picker.js';

const programs = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CHROMIUM ?? programs.find((file) => existsSync(file));
let browser: Browser | undefined;

/** One browser for all tests of a file, which are skipped where there is none. */
export function useBrowser(): void {
	beforeAll(async () => {
		if (!executablePath) return;
		browser = await chromium.launch({
			executablePath,
			// Root has no sandbox, and neither do most containers.
			chromiumSandbox: false,
			args: ['--disable-gpu'],
			// The browser serves all tests of this file, so it must not look like a process that a test left behind.
			env: { PATH: process.env.PATH ?? '' },
		});
	});
	afterAll(() => browser?.close());
	beforeEach(({ skip }) => skip(!browser, `no Chromium: set CHROMIUM, or install ${programs[0]}`));
}

type ContextOptions = Parameters<Browser['newContext']>[0];

/** A page of a new profile, which must log no error, break no policy and ask no other server. */
export async function newPage(options: ContextOptions = {}): Promise<Page> {
	const screen = { viewport: { width: 720, height: 680 }, deviceScaleFactor: 1.5 };
	const context = await (browser as Browser).newContext({ ...screen, ...options });
	const page = await context.newPage();
	const errors: string[] = [];
	page.on('pageerror', (error) => errors.push(error.message));
	const note = (text: string, isError: boolean) => isError && errors.push(text);
	page.on('console', (entry) => note(entry.text(), /^(?!Framing).* violates/.test(entry.text())));
	const isOwn = /^(?:data:|http:\/\/127\.0\.0\.1:)/;
	page.on('request', (request) => note(request.url(), !isOwn.test(request.url())));
	afterTest(async () => {
		await context.close();
		expect(errors).toEqual([]);
	});
	return page;
}

/** The picker in a browser, with an app-server that follows these steps. */
export async function openPicker(steps: Step[], options: ContextOptions = {}) {
	const picker = await startPicker(steps);
	const page = await newPage(options);
	await page.goto(picker.url);
	return { ...picker, page, ...partsOf(page) };
}

export const partsOf = (page: Page) => ({
	status: page.locator('header p'),
	old: page.locator('#old'),
	alert: page.getByRole('alert'),
	refresh: page.getByRole('button'),
	filter: page.getByRole('searchbox', { name: 'Filter models' }),
	group: page.getByRole('radiogroup', { name: 'Codex models' }),
	radios: page.getByRole('radio'),
	rows: page.locator('label:visible'),
});

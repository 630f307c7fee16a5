import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { afterTest, type Step } from '../harness.js';
import { startPicker } from './start-picker.js';

// The tests run in the Chromium that CHROMIUM names, or in the first of these programs on PATH.
const programs = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function findChromium(): string | undefined {
	const folders = (process.env.PATH ?? '').split(path.delimiter);
	const candidates = programs.flatMap((program) =>
		folders.map((folder) => path.join(folder, program)),
	);
	return [...(process.env.CHROMIUM ? [process.env.CHROMIUM] : []), ...candidates].find((file) => {
		try {
			accessSync(file, constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

const executablePath = findChromium();
let browser: Browser | undefined;

/** One browser for all tests of a file, which are skipped where there is none. */
export function useBrowser(): void {
	beforeAll(async () => {
		if (!executablePath) return;
		browser = await chromium.launch({
			executablePath,
			// Root has no sandbox, and neither do most containers.
			chromiumSandbox: false,
			args: ['--disable-gpu', '--disable-quic', '--disable-sync'],
			// The browser serves all tests of this file, so it must not look like a process that a test left behind.
			env: { PATH: process.env.PATH ?? '' },
		});
	});

	afterAll(() => browser?.close());

	beforeEach(({ skip }) =>
		skip(!browser, `no Chromium: neither CHROMIUM nor ${programs.join(', ')} on PATH`),
	);
}

type ContextOptions = Parameters<Browser['newContext']>[0];

/** A page of a new profile, which must log no error and load nothing from elsewhere. */
export async function newPage(options: ContextOptions = {}): Promise<Page> {
	const context = await (browser as Browser).newContext({
		viewport: { width: 560, height: 640 },
		...options,
	});
	const page = await context.newPage();
	const errors: string[] = [];
	page.on('pageerror', (error) => errors.push(error.message));
	page.on('request', (request) => {
		if (!/^(?:data:|http:\/\/127\.0\.0\.1:)/.test(request.url())) errors.push(request.url());
	});
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
	status: page.locator('#status'),
	old: page.locator('#old'),
	alert: page.getByRole('alert'),
	refresh: page.getByRole('button'),
	group: page.getByRole('group', { name: 'Model' }),
	radios: page.getByRole('radio'),
	rows: page.locator('label'),
});

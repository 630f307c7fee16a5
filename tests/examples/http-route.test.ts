import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import type { CodexModelSummary } from '../src/model.js';
import { afterTest } from './harness.js';

type Body = { models: CodexModelSummary[]; fetchedAt: number };

const root = path.join(import.meta.dirname, '..');

/** The example's server on a free port, with the real Codex unless told otherwise, and a new home. */
async function startServer(codex = path.join(root, 'node_modules', '.bin', 'codex')) {
	const home = await mkdtemp(path.join(tmpdir(), 'codex-models-'));
	const server = spawn(process.execPath, [path.join(root, 'examples', 'http-route', 'server.js'), '0'], {
		env: { ...process.env, CODEX_HOME: home, MY_TOOL_CACHE: home, MY_TOOL_CODEX_PATH: codex },
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const closed = once(server, 'close');
	const stop = async () => {
		server.kill('SIGTERM');
		return (await closed)[0];
	};
	afterTest(async () => {
		await stop();
		await rm(home, { recursive: true, force: true });
	});
	const [url] = await once(createInterface(server.stdout), 'line');
	return { url: url as string, stop };
}

test('the route answers with the list of the real Codex and its age, and ends cleanly', async () => {
	const { url, stop } = await startServer();

	const first = await fetch(url);
	const { models, fetchedAt } = (await first.json()) as Body;
	expect(first.status).toBe(200);
	expect(first.headers.get('age')).toMatch(/^\d+$/);
	expect(models.filter(({ isDefault }) => isDefault)).toHaveLength(1);

	const second = await fetch(url);
	expect(await second.json()).toEqual({ success: true, models, fetchedAt });

	const withHidden = (await (await fetch(`${url}?hidden=true`)).json()) as Body;
	expect(withHidden.models.length).toBeGreaterThan(models.length);
	expect(await stop()).toBe(0);
});

test('the route answers 503 with Retry-After and a plain message when there is no Codex', async () => {
	const { url } = await startServer(path.join(root, 'no-such-codex'));

	const response = await fetch(url);
	expect(response.status).toBe(503);
	expect(response.headers.get('retry-after')).toBe('30');
	expect(await response.json()).toMatchObject({
		success: false,
		code: 'ERR_CODEX_NOT_FOUND',
		error: expect.stringContaining('npm install -g @openai/codex'),
	});
});

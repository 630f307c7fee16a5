import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, vi } from 'vitest';
import * as harness from '../harness.js';
import { makeDirectory, neverMs, type Step, script } from '../harness.js';
import { runHost, serve, served, startHost } from '../host.js';
import { describeFaults } from './page.js';
import * as system from './system.js';
import { run } from './system.js';
import { exited, expectOutcome, known, knownIds, type Outcome } from './table.js';

const testFault = describeFaults('machine');
const answers: Step = ['answers', { models: known }];
const newer: Step = ['answers', { models: [{ id: 'newer' }] }];
const listed = { ids: knownIds };
const hidden = { includeHidden: true };
const patient = { retries: 0, deadlineMs: neverMs, fetchTimeoutMs: neverMs };

const notFound = (says: string): Outcome => ({ code: 'ERR_CODEX_NOT_FOUND', says });

/** The outcomes of what a shell does to `$command` or `$cwd`. */
const damages: Record<string, [damage: string, gets: Outcome][]> = {
	'the command, its interpreter or the working directory is missing, or is none': [
		['rm $command', notFound('was not found (ENOENT)')],
		['chmod 644 $command', notFound('may not be run (EACCES)')],
		['rm $command; mkdir $command', notFound('may not be run (EACCES)')],
		["echo '#!/there/is/none' > $command", notFound('the interpreter that its first line names')],
		['rm -r $cwd', notFound('does not exist or cannot be entered')],
		['rm -r $cwd; : > $cwd', notFound('does not exist or cannot be entered')],
	],
	'the command is an empty file, or a text file without a shebang': [
		[': > $command', exited('initialize', 0)],
		['echo no_such_program > $command', exited('initialize', 127, { says: 'not found' })],
	],
};

/** Damages the place of an app-server with a list in memory or without one, and repairs it. */
async function runDamage(damage: string, gets: Outcome, isWarm: boolean): Promise<void> {
	const server = script(answers);
	const place = { command: path.join(server.directory, 'codex'), cwd: `${makeDirectory()}/cwd` };
	const repair = () => {
		for (const file of Object.values(place)) fs.rmSync(file, { recursive: true, force: true });
		server.installAsCodex();
		fs.mkdirSync(place.cwd);
	};
	repair();
	const { catalog } = harness.makeCatalog({ ...place, args: [], ...patient });
	if (isWarm) await expectOutcome(catalog.list(hidden), listed);
	run('sh', '-ec', `command=${place.command} cwd=${place.cwd}; ${damage}`);
	await expectOutcome(catalog.list({ refresh: true }), gets);
	if (isWarm) await expectOutcome(catalog.list(hidden), listed);
	else expect(catalog.peek()).toBeUndefined();
	repair();
	await expectOutcome(catalog.list({ ...hidden, refresh: true }), listed);
}

for (const [fault, cells] of Object.entries(damages)) {
	const [[, first]] = cells as [[string, { code: string }]];
	testFault(fault, 'before the spawn', `\`${first.code}\``, async () => {
		for (const [damage, gets] of cells)
			await Promise.all([true, false].map((isWarm) => runDamage(damage, gets, isWarm)));
	});
}

testFault('another release replaces the command', 'model/list', 'the list of each', async () => {
	const old = script(['answers', { models: known, gates: { 'model/list': 'open' } }]);
	const command = path.join(makeDirectory(), 'codex');
	const install = ({ installAsCodex }: typeof old) =>
		fs.renameSync(path.join(installAsCodex(), 'codex'), command);
	install(old);
	const { catalog } = harness.makeCatalog({ command, args: [], ...patient });
	const list = catalog.list(hidden);
	await old.untilAsked('model/list');
	install(script(newer));
	old.open('open');
	await expectOutcome(list, listed);
	// The list of a command that is gone is not remembered.
	await expectOutcome(catalog.list(), { ids: ['newer'] });
});

const hourMs = 3_600_000;
/** The end of the default `staleWhileRevalidateMs`, which begins at the end of `maxAgeMs`. */
const dayMs = 24 * hourMs + 300_000;

testFault(
	'the clock is set back a day, or forward an hour or a day',
	'any',
	'the list',
	async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		for (const shiftMs of [-dayMs, hourMs, dayMs]) {
			const { catalog, server, events } = harness.makeScriptedCatalog(
				[['answers', { models: known, gates: { 'model/list': 'open' } }], newer],
				// A limit that is counted by the clock ends the fetch.
				{ deadlineMs: hourMs, fetchTimeoutMs: hourMs },
			);
			const list = catalog.list(hidden);
			await server.untilAsked('model/list');
			vi.setSystemTime(Date.now() + shiftMs);
			server.open('open');
			await expectOutcome(list, listed);
			expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });

			vi.setSystemTime(Date.now() + shiftMs);
			await expectOutcome(catalog.list(hidden), shiftMs < dayMs ? listed : { ids: ['newer'] });
			await events.nth('refreshed', 2);
			expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });
			await expectOutcome(catalog.list(), { ids: ['newer'] });
			expect(server.starts).toBe(2);
		}
	},
);

// Resources that the system denies a host.

const denied = (cause: string) =>
	expect.objectContaining({
		...{ name: 'CodexModelsError', code: 'ERR_CODEX_EXITED', cause, phase: 'spawn' },
		message: expect.stringContaining(cause),
	});

const exhaust = `
	/** Takes all descriptors but some, and returns a function that gives them back. */
	const exhaust = (free) => {
		const held = [];
		try {
			for (;;) held.push(openSync('/dev/null'));
		} catch {}
		for (let n = 0; n < free; n++) closeSync(held.pop());
		return () => held.forEach((fd) => closeSync(fd));
	};
`;

const few = { through: ['sh', '-c', 'ulimit -n 64 && exec "$0" "$@"'] };
const noDescriptor = 'the host has no file descriptor left';

testFault(`${noDescriptor}, and no list`, 'before the spawn', '`ERR_CODEX_EXITED`', async () => {
	const [first, then] = await runHost(
		`${exhaust}
		const release = exhaust(0);
		const catalogs = [make(), make({ store: openStore() })];
		const list = () => Promise.all(catalogs.map((catalog) => settle(catalog.list())));
		tell(await list());
		release();
		tell(await list());
		await Promise.all(catalogs.map((catalog) => catalog.close()));`,
		{ facts: serve().facts, ...few },
	);
	expect(first).toEqual([denied('EMFILE'), denied('EMFILE')]);
	expect(then).toEqual([served, served]);
});

testFault(
	`${noDescriptor}, or 3, 5 or 14, and a list in memory`,
	'spawn',
	'the list, also from `peek`; a refresh needs 14',
	async () => {
		const told = await runHost(
			`${exhaust}
			// Without a handle of its own, a host that waits for an event ends.
			const hold = setInterval(() => {}, 60_000);
			const now = Date.now;
			for (const free of [0, 3, 5, 14]) {
				let resolve;
				const exited = new Promise((settle) => (resolve = settle));
				const catalog = make({ onEvent: ({ type }) => type === 'exited' && resolve() });
				await catalog.list();
				await exited;
				const release = exhaust(free);
				// A hit looks at the files once a second.
				Date.now = () => now() + 5_000;
				const kept = await settle(catalog.list());
				const { isFresh, models } = catalog.peek();
				const refreshed = await settle(catalog.list({ refresh: true }));
				const peeked = catalog.peek().models === models;
				release();
				tell({ kept, isFresh, refreshed, again: await settle(catalog.list({ refresh: true })), peeked });
				Date.now = now;
				await catalog.close();
			}
			clearInterval(hold);`,
			{ facts: serve().facts, ...few },
		);
		// A start takes six descriptors for three pipes, and two to learn of a failure.
		const expected = [denied('EMFILE'), denied('EMFILE'), denied('EMFILE'), served];
		const kept = { kept: served, isFresh: true, peeked: true, again: served };
		expect(told).toEqual(expected.map((refreshed) => ({ ...kept, refreshed })));
	},
);

testFault('the folder of the package is removed', 'before the spawn', 'the list', async () => {
	const { directory, facts } = serve();
	const built = fs.realpathSync(system.builtDirectory);
	const copy = path.join(directory, 'dist');
	fs.cpSync(built, copy, { recursive: true });
	for (const name of ['node_modules', 'package.json'])
		fs.symlinkSync(path.join(built, '..', name), path.join(directory, name));
	const index = pathToFileURL(path.join(copy, 'index.js')).href;
	const source = 'rmSync(facts.copy, { recursive: true }); await listOnce();';
	expect(await runHost(source, { facts: { ...facts, copy, index } })).toEqual([served]);
});

testFault(
	'the host may start no more processes (ulimit -u)',
	'spawn',
	'`ERR_CODEX_EXITED`',
	async () => {
		const { server, facts } = serve();
		run('chmod', '-R', 'a+rwX', server.directory);
		const { child, done, nth, write } = startHost(
			`const [cold, warm] = [make(), make()];
			// Each starts a thread of libuv, and the limit counts threads.
			await Promise.all(Array.from({ length: 16 }, () => stat('/')));
			await warm.list();
			for (let n = 0; n < 2; n++) {
				tell('is up');
				await next();
				tell([await settle(cold.list()), await settle(warm.list({ refresh: true })), await settle(warm.list())]);
			}
			await Promise.all([cold.close(), warm.close()]);`,
			{ facts, through: system.asUser },
		);
		const limit = (soft: string) =>
			run(...system.asUser, 'prlimit', '--pid', String(child.pid), `--nproc=${soft}:`);
		await nth(1);
		limit('1');
		write('go');
		expect(await nth(2)).toEqual([denied('EAGAIN'), denied('EAGAIN'), served]);
		await nth(3);
		limit('4096');
		write('go');
		expect(await nth(4)).toEqual([served, served, served]);
		expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
	},
	system.lackOfUser ?? system.lackOf('prlimit', '--version'),
);

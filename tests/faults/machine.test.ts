import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, vi } from 'vitest';
import {
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	type Step,
	script,
} from '../harness.js';
import {
	builtDirectory,
	lackOf,
	run,
	runHost,
	serve,
	served,
	sh,
	startHost,
	user,
} from './host.js';
import { describeFaults } from './page.js';
import { exited, expectOutcome, known, knownIds, type Outcome } from './table.js';

const testFault = describeFaults('machine');
const answers: Step = ['answers', { models: known }];
const listed = { ids: knownIds };
const hidden = { includeHidden: true };
const patient = { retries: 0, deadlineMs: neverMs, fetchTimeoutMs: neverMs };

const notFound = (says: string): Outcome => ({ code: 'ERR_CODEX_NOT_FOUND', says });

/** A command in a working directory, and a function that repairs both. */
function makePlace() {
	const server = script(answers);
	const place = {
		command: path.join(server.directory, 'codex'),
		cwd: path.join(makeDirectory(), 'cwd'),
	};
	const repair = () => {
		for (const file of Object.values(place)) fs.rmSync(file, { recursive: true, force: true });
		server.installAsCodex();
		fs.mkdirSync(place.cwd);
	};
	repair();
	return { server, place, repair, ...makeCatalog({ ...place, args: [], ...patient }) };
}

/** The outcomes of a shell's commands that damage `$command` or `$cwd`. */
type Damage = [gets: Outcome, damage: string];

const noFolder = notFound('does not exist or cannot be entered');
const damages: Record<string, Damage[]> = {
	'the command, its interpreter or the working directory is missing, or of a wrong kind': [
		[notFound('was not found (ENOENT)'), 'rm $command'],
		[notFound('may not be run (EACCES)'), 'chmod 644 $command'],
		[notFound('may not be run (EACCES)'), 'rm $command; mkdir $command'],
		[
			notFound('exists, but the interpreter that its first line names does not (ENOENT)'),
			"echo '#!/there/is/none' > $command",
		],
		[noFolder, 'rm -r $cwd'],
		[noFolder, 'rm -r $cwd; : > $cwd'],
	],
	'the command is an empty file, or a text file without a shebang': [
		[exited('initialize', 0), ': > $command'],
		[exited('initialize', 127, null, 'not found'), 'echo no_such_program_anywhere > $command'],
	],
};

for (const [fault, all] of Object.entries(damages)) {
	const [[outcome]] = all as [Damage];
	testFault(fault, 'before the spawn', `\`${'code' in outcome && outcome.code}\``, async () => {
		for (const [gets, damage] of all) {
			const cold = makePlace();
			sh(damage, cold.place);
			await expectOutcome(cold.catalog.list(hidden), gets);
			expect(cold.catalog.peek()).toBeUndefined();
			cold.repair();
			await expectOutcome(cold.catalog.list(hidden), listed);

			const warm = makePlace();
			await expectOutcome(warm.catalog.list(hidden), listed);
			sh(damage, warm.place);
			await expectOutcome(warm.catalog.list({ refresh: true }), gets);
			await expectOutcome(warm.catalog.list(hidden), listed);
			expect(warm.server.starts).toBe(1);
			warm.repair();
			await expectOutcome(warm.catalog.list({ ...hidden, refresh: true }), listed);
			await Promise.all([cold.catalog.close(), warm.catalog.close()]);
			expect([...cold.server.pids, ...warm.server.pids].filter(isAlive)).toEqual([]);
		}
	});
}

testFault('another release replaces the command', 'model/list', 'the list of each', async () => {
	const releases = ['old', 'new'].map((id) =>
		script(['answers', { models: [{ id }], gates: { 'model/list': 'open' } }]),
	) as [ReturnType<typeof script>, ReturnType<typeof script>];
	const [old, next] = releases;
	const command = path.join(makeDirectory(), 'codex');
	const install = ({ installAsCodex }: typeof old) =>
		fs.renameSync(path.join(installAsCodex(), 'codex'), command);
	install(old);
	const { catalog } = makeCatalog({ command, args: [], ...patient });
	const list = catalog.list();
	await old.untilAsked('model/list');
	install(next);
	for (const { open } of releases) open('open');
	await expectOutcome(list, { ids: ['old'] });
	// The list of a command that is gone is not remembered.
	await expectOutcome(catalog.list(), { ids: ['new'] });
});

const hourMs = 3_600_000;
/** The end of the default `staleWhileRevalidateMs`, which begins at the end of `maxAgeMs`. */
const dayMs = 24 * hourMs + 300_000;

testFault(
	'the clock is set back by more than a day, or forward by an hour or more than a day',
	'initialize, model/list, after the answer',
	'the list, and a refresh',
	async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		for (const shiftMs of [-dayMs, hourMs, dayMs]) {
			for (const phase of ['initialize', 'model/list'] as const) {
				// A limit that is counted by the clock ends the fetch.
				const { catalog, server } = makeScriptedCatalog(
					[['answers', { models: known, gates: { [phase]: 'open' } }]],
					{ deadlineMs: 600_000, fetchTimeoutMs: 600_000 },
				);
				const list = catalog.list(hidden);
				await server.untilAsked(phase);
				vi.setSystemTime(Date.now() + shiftMs);
				server.open('open');
				await expectOutcome(list, listed);
				expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });
			}
			const newer: Step = ['answers', { models: [{ id: 'newer' }] }];
			const { catalog, server, events } = makeScriptedCatalog([answers, newer]);
			await catalog.list();
			vi.setSystemTime(Date.now() + shiftMs);
			const lists = await Promise.all(Array.from({ length: 5 }, () => catalog.list(hidden)));
			for (const models of lists)
				expect(idsOf(models)).toEqual(shiftMs < dayMs ? knownIds : ['newer']);
			await events.nth('refreshed', 2);
			expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });
			expect(idsOf(await catalog.list())).toEqual(['newer']);
			expect(server.starts).toBe(2);
		}
	},
);

// Resources that the system denies a host.

const denied = (cause: string) => ({
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

testFault(
	'the host has no file descriptor left, and no list, with and without a store',
	'before the spawn',
	'`ERR_CODEX_EXITED`',
	async () => {
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
	},
);

testFault(
	'the host has no file descriptor left, or 3, 5 or 14, and a list in memory',
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
	const built = fs.realpathSync(builtDirectory);
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
		user.share(server.directory);
		const { child, done, nth, write } = startHost(
			`const [cold, warm] = [make(), make()];
			// Each starts a thread of libuv, and the limit counts threads.
			await Promise.all(Array.from({ length: 16 }, () => stat('/')));
			await warm.list();
			tell('is up');
			await next();
			tell([await settle(cold.list()), await settle(warm.list({ refresh: true })), await settle(warm.list())]);
			await next();
			tell([await settle(cold.list()), await settle(warm.list({ refresh: true }))]);
			await Promise.all([cold.close(), warm.close()]);
			process.stdin.destroy();`,
			{ facts, through: user.words },
		);
		const limit = (soft: string) =>
			run(...user.words, 'prlimit', '--pid', String(child.pid), `--nproc=${soft}:`);
		await nth(1);
		limit('1');
		write('go');
		expect(await nth(2)).toEqual([denied('EAGAIN'), denied('EAGAIN'), served]);
		limit('4096');
		write('go');
		expect(await nth(3)).toEqual([served, served]);
		expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
	},
	user.lack ?? lackOf('prlimit', '--version'),
);

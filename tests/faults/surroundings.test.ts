import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, vi } from 'vitest';
import {
	afterTest,
	idsOf,
	isAlive,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	realCodex,
	type Step,
	script,
} from '../harness.js';
import { builtDirectory, runHost, serve, served, startHost } from './host.js';
import { describeFaults } from './page.js';
import { exited, expectOutcome, known, knownIds, type Outcome } from './table.js';

const testFault = describeFaults('surroundings');
const answers: Step = ['answers', { models: known }];
const listed = { ids: knownIds };
const hidden = { includeHidden: true };

// The command and the working directory.

/** Runs a shell's commands with these variables. */
const sh = (commands: string, variables: Record<string, string>) =>
	execFileSync('sh', ['-ec', commands], { env: { ...process.env, ...variables } });

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
	const { catalog } = makeCatalog({
		...place,
		args: [],
		retries: 0,
		deadlineMs: neverMs,
		fetchTimeoutMs: neverMs,
	});
	return { server, place, repair, catalog };
}

/** The outcomes of a shell's commands that damage `$command` or `$cwd`. */
type Damage = [gets: Outcome, damage: string];

const damages: Record<string, Damage[]> = {
	'the command is missing, may not be run, is a directory, or names a missing interpreter': [
		[notFound('was not found (ENOENT)'), 'rm $command'],
		[notFound('may not be run (EACCES)'), 'chmod 644 $command'],
		[notFound('may not be run (EACCES)'), 'rm $command; mkdir $command'],
		[
			notFound('exists, but the interpreter that its first line names does not (ENOENT)'),
			"echo '#!/there/is/none' > $command",
		],
	],
	'the command is an empty file, or a text file without a shebang': [
		[exited('initialize', 0), ': > $command'],
		[exited('initialize', 127, null, 'not found'), 'echo no_such_program_anywhere > $command'],
	],
	'the working directory is missing, or a file': [
		[notFound('does not exist or cannot be entered'), 'rm -r $cwd'],
		[notFound('does not exist or cannot be entered'), 'rm -r $cwd; : > $cwd'],
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

testFault(
	'the arguments are longer than the system allows',
	'spawn',
	'`ERR_CODEX_EXITED`',
	async () => {
		const { catalog } = makeCatalog({
			command: process.execPath,
			args: ['x'.repeat(4_000_000)],
			retries: 0,
		});
		await expectOutcome(catalog.list(), {
			code: 'ERR_CODEX_EXITED',
			exitCode: null,
			phase: 'spawn',
			says: 'E2BIG',
		});
	},
);

testFault(
	'the working directory is deleted while the app-server works',
	'model/list',
	'the list',
	async () => {
		const cwd = makeDirectory();
		const { catalog, server } = makeScriptedCatalog(
			[['answers', { models: known, gates: { 'model/list': 'open' } }]],
			{ cwd },
		);
		const list = catalog.list(hidden);
		await server.untilAsked('model/list');
		fs.rmSync(cwd, { recursive: true });
		server.open('open');
		await expectOutcome(list, listed);
		await expectOutcome(
			catalog.list({ refresh: true }),
			notFound('does not exist or cannot be entered'),
		);
		await expectOutcome(catalog.list(hidden), listed);
	},
);

testFault(
	'another release replaces the command',
	'model/list',
	'the list, then that of the new release',
	async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const old = script(['answers', { models: known, gates: { 'model/list': 'open' } }]);
		const newer = script(['answers', { models: [{ id: 'newer' }] }]);
		const command = path.join(makeDirectory(), 'codex');
		fs.renameSync(path.join(old.installAsCodex(), 'codex'), command);
		const { catalog, events } = makeCatalog({ command, args: [], retries: 0, deadlineMs: neverMs });
		const list = catalog.list(hidden);
		await old.untilAsked('model/list');
		fs.renameSync(path.join(newer.installAsCodex(), 'codex'), command);
		old.open('open');
		await expectOutcome(list, listed);

		// A hit looks at the files once a second.
		vi.setSystemTime(Date.now() + 2_000);
		await expectOutcome(catalog.list(hidden), listed);
		await events.nth('refreshed', 2);
		await expectOutcome(catalog.list(hidden), { ids: ['newer'] });
		expect([old.starts, newer.starts]).toEqual([1, 1]);
	},
);

// The clock.

const hourMs = 3_600_000;
/** The end of the default `staleWhileRevalidateMs`, which begins at the end of `maxAgeMs`. */
const dayMs = 24 * hourMs + 300_000;
const clocks = {
	'set back by more than a day': -dayMs,
	'set forward by an hour': hourMs,
	'set forward by more than a day': dayMs,
};

for (const [what, shiftMs] of Object.entries(clocks)) {
	const isServed = shiftMs < dayMs;
	const outcome = isServed ? 'the list' : 'the list; a new list';
	const phases = isServed
		? 'initialize, model/list, after the answer'
		: 'initialize, model/list; after the answer';
	testFault(`the clock is ${what}`, phases, outcome, async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		for (const phase of ['initialize', 'model/list'] as const) {
			// A limit that is counted by the clock ends the fetch.
			const limits = { deadlineMs: 600_000, fetchTimeoutMs: 600_000 };
			const { catalog, server } = makeScriptedCatalog(
				[['answers', { models: known, gates: { [phase]: 'open' } }]],
				limits,
			);
			const list = catalog.list(hidden);
			await server.untilAsked(phase);
			vi.setSystemTime(Date.now() + shiftMs);
			server.open('open');
			await expectOutcome(list, listed);
			expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });
		}
		const { catalog, server, events } = makeScriptedCatalog([
			answers,
			['answers', { models: [{ id: 'newer' }] }],
		]);
		await catalog.list();
		vi.setSystemTime(Date.now() + shiftMs);
		const served = await Promise.all(Array.from({ length: 5 }, () => catalog.list(hidden)));
		for (const models of served) expect(idsOf(models)).toEqual(isServed ? knownIds : ['newer']);
		await events.nth('refreshed', 2);
		expect(catalog.peek()).toMatchObject({ isFresh: true, fetchedAt: Date.now() });
		expect(idsOf(await catalog.list())).toEqual(['newer']);
		expect(server.starts).toBe(2);
	});
}

// Resources that the system denies a host.

const isLinux = process.platform === 'linux';
const has = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
const isRoot = process.getuid?.() === 0;
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
const descriptors = 'the host has no file descriptor left';
testFault(
	`${descriptors}, at its first call, with and without a store`,
	'before the spawn',
	'`ERR_CODEX_EXITED`',
	async () => {
		const { facts } = serve();
		const [first, then] = await runHost(
			`${exhaust}
		const release = exhaust(0);
		const catalogs = [make(), make({ store: openStore() })];
		tell(await Promise.all(catalogs.map((catalog) => settle(catalog.list()))));
		release();
		tell(await Promise.all(catalogs.map((catalog) => settle(catalog.list()))));
		await Promise.all(catalogs.map((catalog) => catalog.close()));`,
			{ facts, ...few },
		);
		expect(first).toEqual([denied('EMFILE'), denied('EMFILE')]);
		expect(then).toEqual([served, served]);
	},
);

testFault(
	`${descriptors}, or 3, 5 or 14`,
	'spawn',
	'`ERR_CODEX_EXITED`; the list with 14',
	async () => {
		const { facts } = serve();
		const told = await runHost(
			`${exhaust}
		// Without a handle of its own, a host that waits for an event ends.
		const hold = setInterval(() => {}, 60_000);
		for (const free of [0, 3, 5, 14]) {
			let onExit;
			const exited = new Promise((resolve) => {
				onExit = resolve;
			});
			const catalog = make({ onEvent: ({ type }) => type === 'exited' && onExit() });
			await catalog.list();
			await exited;
			const release = exhaust(free);
			const refreshed = await settle(catalog.list({ refresh: true }));
			release();
			const kept = await settle(catalog.list());
			tell({ refreshed, kept, again: await settle(catalog.list({ refresh: true })) });
			await catalog.close();
		}
		clearInterval(hold);`,
			{ facts, ...few },
		);
		// A start takes six descriptors for three pipes, and two to learn of a failure.
		const expected = [denied('EMFILE'), denied('EMFILE'), denied('EMFILE'), served];
		expect(told).toEqual(expected.map((refreshed) => ({ refreshed, kept: served, again: served })));
	},
);

testFault(
	'the folder of the package is removed after its import',
	'before the spawn',
	'the list',
	async () => {
		const { directory, facts } = serve();
		const built = fs.realpathSync(builtDirectory);
		const copy = path.join(directory, 'dist');
		fs.cpSync(built, copy, { recursive: true });
		for (const name of ['node_modules', 'package.json'])
			fs.symlinkSync(path.join(built, '..', name), path.join(directory, name));
		const index = pathToFileURL(path.join(copy, 'index.js')).href;
		const source = 'rmSync(facts.copy, { recursive: true }); await listOnce();';
		expect(await runHost(source, { facts: { ...facts, copy, index } })).toEqual([served]);
	},
);

const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
const user = isRoot ? nobody : ['env'];
/** Another user must be able to read the package; limits and permissions do not bind root. */
const lackOfUser =
	!isLinux ||
	has(user[0] as string, ...user.slice(1), 'test', '-r', path.join(builtDirectory, 'index.js'))
		? undefined
		: 'setpriv';

/** Lets any user use a directory of a test. */
function share(directory: string): void {
	fs.chmodSync(directory, 0o777);
	for (const name of fs.readdirSync(directory)) fs.chmodSync(path.join(directory, name), 0o666);
}

const lackOfLimit = lackOfUser ?? (has('prlimit', '--version') ? undefined : 'prlimit');
testFault(
	'the host may start no more processes (ulimit -u)',
	'spawn',
	'`ERR_CODEX_EXITED`',
	limitProcesses,
	lackOfLimit,
);

async function limitProcesses(): Promise<void> {
	const { server, facts } = serve();
	share(server.directory);
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
		{ facts, through: user },
	);
	const limit = (soft: string) =>
		execFileSync(user[0] as string, [
			...user.slice(1),
			'prlimit',
			'--pid',
			String(child.pid),
			`--nproc=${soft}:`,
		]);
	await nth(1);
	limit('1');
	write('go');
	expect(await nth(2)).toEqual([denied('EAGAIN'), denied('EAGAIN'), served]);
	limit('4096');
	write('go');
	expect(await nth(3)).toEqual([served, served]);
	expect(await done).toMatchObject({ exitCode: 0, stderr: '' });
}

// Files in CODEX_HOME.

const homes = {
	'a FIFO': 'mkfifo $file',
	'a directory': 'mkdir $file',
	'100 MB long': 'truncate -s 100M $file',
	'a link to itself': 'ln -s $file $file',
	unreadable: 'echo {} > $file; chmod 0 $file',
};

const what = '`auth.json` and `config.toml` are';
testFault(
	`${what} each ${Object.keys(homes).join(', ')}`,
	'any',
	'the list',
	readHomes,
	lackOfUser,
);

async function readHomes(): Promise<void> {
	for (const spoil of Object.values(homes)) {
		const { server, directory, facts } = serve();
		share(server.directory);
		const codexHomes = ['first', 'second', 'third', 'fourth'].map((name) =>
			path.join(directory, name),
		);
		for (const [index, codexHome] of codexHomes.entries()) {
			fs.mkdirSync(codexHome);
			// The first home is spoiled when its list is known.
			for (const name of ['auth.json', 'config.toml'])
				sh(spoil, { file: path.join(codexHome, index === 0 ? `later-${name}` : name) });
		}
		if (isRoot) execFileSync('chown', ['-Rh', '65534:65534', directory]);
		const { done } = startHost(
			`const within = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 10_000, 'hangs'))]);
			const [home, ...others] = facts.codexHomes;
			const warm = make({ codexHome: home });
			await warm.list();
			for (const name of ['auth.json', 'config.toml']) renameSync(home + '/later-' + name, home + '/' + name);
			// A hit looks at the files once a second.
			const now = Date.now;
			Date.now = () => now() + 5_000;
			const { signal } = new AbortController();
			tell(await within(settle(warm.list({ deadlineMs: 5_000, signal }))));
			const cold = others.map((codexHome) => settle(make({ codexHome }).list()));
			tell(await within(Promise.all(cold)));
			tell(await within(stat('/').then(() => 'the host can read')));
			process.exit(0);`,
			{ facts: { ...facts, codexHomes }, through: user },
		);
		expect(await done).toMatchObject({
			exitCode: 0,
			stderr: '',
			told: [served, [served, served, served], 'the host can read'],
		});
	}
}

testFault('HOME does not exist, and CODEX_HOME does', 'before the spawn', 'the list', async () => {
	const { facts } = serve();
	const options = { ...facts.options, cwd: undefined };
	expect(
		await runHost('await listOnce();', { facts: { options }, env: { HOME: '/nonexistent' } }),
	).toEqual([served]);
});

/** A file system of its own, of 8 MB. */
function mountDisk(): string {
	const directory = makeDirectory();
	sh('mount -t tmpfs -o size=8m,mode=700 tmpfs $directory', { directory });
	afterTest(() => sh('umount -l $directory', { directory }));
	return directory;
}

function fill(directory: string): void {
	for (const name of fs.readdirSync(directory))
		fs.rmSync(path.join(directory, name), { recursive: true });
	const { bavail, bsize } = fs.statfsSync(directory);
	fs.writeFileSync(path.join(directory, 'ballast'), Buffer.alloc(bavail * bsize));
	expect(fs.statfsSync(directory).bavail).toBe(0);
}

const canMount = isLinux && isRoot && has('unshare', '-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt');
const lackOfMount = canMount ? undefined : 'the right to mount';

async function fillHome(): Promise<void> {
	const codexHome = mountDisk();
	const limits = { retries: 0, deadlineMs: neverMs, fetchTimeoutMs: neverMs };
	const { catalog, events } = makeCatalog({ command: realCodex, codexHome, ...limits });
	const gets = exited('initialize', 1, null, 'failed to initialize sqlite state');
	fill(codexHome);
	await expectOutcome(catalog.list(), gets);
	fs.rmSync(path.join(codexHome, 'ballast'));
	const models = await catalog.list();
	expect(models.length).toBeGreaterThan(0);
	await events.nth('exited', 2);
	fill(codexHome);
	await expectOutcome(catalog.list({ refresh: true }), gets);
	expect(await catalog.list()).toEqual(models);
}

testFault(
	'the disk of CODEX_HOME is full (the real Codex)',
	'initialize',
	'`ERR_CODEX_EXITED`',
	fillHome,
	lackOfMount,
);

async function fillStore(): Promise<void> {
	const directory = mountDisk();
	const { facts } = serve();
	fill(directory);
	const told = await runHost(
		`for (let n = 0; n < 2; n++) {
			const failed = [];
			const catalog = make({ store: openStore(), onEvent: ({ type, operation }) => type === 'store-failed' && failed.push(operation) });
			const list = await settle(catalog.list());
			await catalog.close();
			tell({ list, failed });
			rmSync(facts.directory + '/ballast', { force: true });
		}`,
		{ facts: { ...facts, directory } },
	);
	expect(told).toEqual([
		{ list: served, failed: ['set'] },
		{ list: served, failed: [] },
	]);
	expect(fs.readdirSync(directory).filter((name) => name.endsWith('.json'))).toHaveLength(1);
}

testFault(
	"the disk of the file store's directory is full",
	'after the answer',
	'the list',
	fillStore,
	lackOfMount,
);

import fs from 'node:fs';
import path from 'node:path';
import { expect, vi } from 'vitest';
import {
	afterTest,
	makeCatalog,
	makeDirectory,
	makeScriptedCatalog,
	neverMs,
	realCodex,
	type Step,
} from '../harness.js';
import {
	answers,
	lackOf,
	lackOfMount,
	run,
	runHost,
	serve,
	served,
	sh,
	startHost,
	user,
} from './host.js';
import { describeFaults } from './page.js';
import { exited, expectOutcome } from './table.js';

const testFault = describeFaults('homes');

/** The source of a host: lists for a first home, which goes wrong when its list is known, and for others. */
const listForHomes = `
	const within = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 10_000, 'hangs'))]);
	const [home, ...others] = facts.codexHomes;
	const warm = make({ codexHome: home });
	await warm.list();
	for (const [from, to] of facts.renames) renameSync(from, to);
	// A hit looks at the files once a second.
	const now = Date.now;
	Date.now = () => now() + 5_000;
	const { signal } = new AbortController();
	tell(await within(settle(warm.list({ deadlineMs: 5_000, signal }))));
	const cold = others.map((codexHome) => settle(make({ codexHome }).list()));
	tell(await within(Promise.all(cold)));
	tell(await within(stat('/').then(() => 'the host can read')));
`;

const spoils = {
	'a FIFO': 'mkfifo $file',
	'a directory': 'mkdir $file',
	'100 MB long': 'truncate -s 100M $file',
	'a link to itself': 'ln -s $file $file',
	unreadable: 'echo {} > $file; chmod 0 $file',
};
const names = ['auth.json', 'config.toml'];

testFault(
	`\`auth.json\` and \`config.toml\` are each ${Object.keys(spoils).join(', ')}`,
	'any',
	'the list',
	async () => {
		for (const spoil of Object.values(spoils)) {
			const { server, directory, facts } = serve();
			user.share(server.directory);
			const codexHomes = [1, 2, 3, 4].map((home) => path.join(directory, String(home)));
			const [first = '', ...others] = codexHomes;
			for (const codexHome of codexHomes) fs.mkdirSync(codexHome);
			const renames = names.map((name) =>
				[`later-${name}`, name].map((file) => path.join(first, file)),
			);
			for (const [later = ''] of renames) sh(spoil, { file: later });
			for (const codexHome of others)
				for (const name of names) sh(spoil, { file: path.join(codexHome, name) });
			user.give(directory);
			const { done } = startHost(`${listForHomes} process.exit(0);`, {
				facts: { ...facts, codexHomes, renames },
				through: user.words,
			});
			expect(await done).toMatchObject({
				exitCode: 0,
				stderr: '',
				told: [served, [served, served, served], 'the host can read'],
			});
		}
	},
	user.lack,
);

/** A directory on a mount that never answers, as that of a file server which is gone. */
function mountDeaf(): string {
	const directory = makeDirectory();
	// The kernel asks the process group of the mount by this pipe, and nothing there answers.
	const pipe = path.join(makeDirectory(), 'pipe');
	run('mkfifo', pipe);
	const file = fs.openSync(pipe, 'r+');
	afterTest(() => fs.closeSync(file));
	const mount = 'setsid --wait mount -t autofs -o fd=3,minproto=5,maxproto=5,indirect';
	sh(`${mount} autofs $directory 3<>$pipe`, { directory, pipe });
	afterTest(() => run('umount', '-l', directory));
	return path.join(directory, 'home');
}

testFault(
	'the mount of CODEX_HOME hangs',
	'any',
	'the list',
	async () => {
		const { server, directory, facts } = serve();
		const hung = mountDeaf();
		const [home = '', link = '', next = ''] = ['home', 'link', 'next'].map((name) =>
			path.join(directory, name),
		);
		fs.mkdirSync(home);
		fs.symlinkSync(home, link);
		fs.symlinkSync(hung, next);
		const { child, done, nth } = startHost(
			`${listForHomes}
			await Promise.all([warm.close(), make().close()]);
			tell('closed');`,
			{ facts: { ...facts, codexHomes: [link, hung], renames: [[next, link]] } },
		);
		expect(await nth(1)).toEqual(served);
		expect(server.starts).toBe(1);
		expect(await nth(2)).toEqual([served]);
		expect(await nth(3)).toBe('the host can read');
		expect(await nth(4)).toBe('closed');
		// A thread that waits for a mount keeps Node from its exit.
		child.kill('SIGKILL');
		await done;
	},
	lackOfMount ?? lackOf('grep', '-q', 'autofs', '/proc/filesystems'),
);

testFault(
	'`auth.json` is half written, and then whole again',
	'after the answer, model/list',
	'a new list, then the one of the login',
	async () => {
		vi.useFakeTimers({ toFake: ['Date'] });
		const codexHome = makeDirectory();
		const login = JSON.stringify({ tokens: { account_id: 'first', refresh_token: 'a' } });
		const write = (text: string) => {
			fs.writeFileSync(path.join(codexHome, 'auth.json'), text);
			// A hit looks at the files once a second.
			vi.setSystemTime(Date.now() + 2_000);
		};
		const unknown: Step = ['answers', { models: [{ id: 'b' }], gates: { 'model/list': 'open' } }];
		const { catalog, server } = makeScriptedCatalog([answers, unknown], { codexHome });
		write(login);
		await expectOutcome(catalog.list(), served);
		write(login.slice(0, 30));
		const list = catalog.list();
		await server.untilAsked('model/list', 2);
		write(login);
		await expectOutcome(catalog.list(), served);
		server.open('open');
		await expectOutcome(list, { ids: ['b'] });
		await expectOutcome(catalog.list(), served);
		expect(server.starts).toBe(2);
	},
);

testFault('HOME does not exist, and CODEX_HOME does', 'before the spawn', 'the list', async () => {
	const { facts } = serve();
	const options = { ...facts.options, cwd: undefined };
	const env = { HOME: '/nonexistent' };
	expect(await runHost('await listOnce();', { facts: { options }, env })).toEqual([served]);
});

/** A file system of its own, of 8 MB. */
function mountDisk(): string {
	const directory = makeDirectory();
	run('mount', '-t', 'tmpfs', '-o', 'size=8m,mode=700', 'tmpfs', directory);
	afterTest(() => run('umount', '-l', directory));
	return directory;
}

function fill(directory: string): void {
	for (const name of fs.readdirSync(directory))
		fs.rmSync(path.join(directory, name), { recursive: true });
	const { bavail, bsize } = fs.statfsSync(directory);
	fs.writeFileSync(path.join(directory, 'ballast'), Buffer.alloc(bavail * bsize));
	expect(fs.statfsSync(directory).bavail).toBe(0);
}

testFault(
	'the disk of CODEX_HOME is full (the real Codex)',
	'initialize',
	'`ERR_CODEX_EXITED`',
	async () => {
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
	},
	lackOfMount,
);

testFault(
	"the disk of the file store's directory is full",
	'after the answer',
	'the list',
	async () => {
		const directory = mountDisk();
		const { facts } = serve();
		fill(directory);
		const told = await runHost(
			`for (let n = 0; n < 2; n++) {
				const failed = [];
				const onEvent = ({ type, operation }) => type === 'store-failed' && failed.push(operation);
				const catalog = make({ store: openStore(), onEvent });
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
	},
	lackOfMount,
);

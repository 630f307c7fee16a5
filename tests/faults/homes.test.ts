import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import * as harness from '../harness.js';
import { afterTest, makeDirectory } from '../harness.js';
import { runHost, serve, served, startHost } from '../host.js';
import { describeFaults } from './page.js';
import { asUser, lackOf, lackOfMount, lackOfUser, run } from './system.js';
import { exited, expectOutcome } from './table.js';

const testFault = describeFaults('homes');

/** Runs a shell's commands in a directory. */
const sh = (cwd: string, commands: string) => run('sh', '-ec', `cd ${cwd}; ${commands}`);

/** The source of a host: lists for a home that changes when its list is known, and for others. */
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

/** The commands of a shell that spoil a file. */
const spoils = {
	'a FIFO': 'mkfifo $file',
	'a directory': 'mkdir $file',
	'100 MB long': 'truncate -s 100M $file',
	'a link to itself': 'ln -s $file $file',
	unreadable: 'echo {} > $file; chmod 0 $file',
};

testFault(
	`\`auth.json\` and \`config.toml\` are each ${Object.keys(spoils).join(', ')}`,
	'any',
	'the list',
	async () => {
		const names = ['auth.json', 'config.toml'];
		for (const spoil of Object.values(spoils)) {
			const { server, directory, facts } = serve();
			const codexHomes = ['first', 'second', 'third', 'fourth'].map((name) =>
				path.join(directory, name),
			);
			const files = codexHomes.flatMap((home, index) =>
				names.map((name) => path.join(home, index === 0 ? `later-${name}` : name)),
			);
			const renames = names.map((name, index) => [
				files[index],
				path.join(directory, 'first', name),
			]);
			run('mkdir', '-m', '777', ...codexHomes);
			sh(directory, `for file in ${files.join(' ')}; do ${spoil}; done`);
			run('chmod', 'a+rx', directory);
			run('chmod', '-R', 'a+rwX', server.directory);
			const { done } = startHost(`${listForHomes} process.exit(0);`, {
				facts: { ...facts, codexHomes, renames },
				through: asUser,
			});
			const told = [served, [served, served, served], 'the host can read'];
			expect(await done).toMatchObject({ exitCode: 0, stderr: '', told });
		}
	},
	lackOfUser,
);

/** A directory on a mount that never answers, as that of a file server which is gone. */
function mountDeaf(): string {
	const [directory, parent] = [makeDirectory(), makeDirectory()];
	// The kernel asks the process group of the mount by this pipe, and nothing there answers.
	run('mkfifo', `${parent}/pipe`);
	const pipe = fs.openSync(`${parent}/pipe`, 'r+');
	afterTest(() => fs.closeSync(pipe));
	const mount = 'setsid --wait mount -t autofs -o fd=3,minproto=5,maxproto=5,indirect';
	sh(parent, `${mount} autofs ${directory} 3<>pipe`);
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
		sh(directory, `mkdir home; ln -s home link; ln -s ${hung} next`);
		const [link, next] = [`${directory}/link`, `${directory}/next`];
		const { child, done, nth } = startHost(
			`${listForHomes} await warm.close().then(() => tell('closed'));`,
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

testFault('HOME does not exist, and CODEX_HOME does', 'any', 'the list', async () => {
	const { facts } = serve();
	const options = { ...facts.options, cwd: undefined };
	const env = { HOME: '/nonexistent' };
	const told = await runHost('await listOnce();', { facts: { ...facts, options }, env });
	expect(told).toEqual([served]);
});

testFault(
	'the disk of CODEX_HOME is full (the real Codex)',
	'initialize',
	'`ERR_CODEX_EXITED`',
	async () => {
		const codexHome = makeDirectory();
		run('mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', codexHome);
		afterTest(() => run('umount', '-l', codexHome));
		const { catalog, events } = harness.makeCatalog({
			...{ command: harness.realCodex, codexHome, retries: 0 },
			...{ deadlineMs: harness.neverMs, fetchTimeoutMs: harness.neverMs },
		});
		const gets = exited('initialize', 1, { says: 'failed to initialize sqlite state' });
		const fill = () => sh(codexHome, 'rm -rf * .[!.]*; cat /dev/zero > ballast 2>&- || true');
		fill();
		await expectOutcome(catalog.list(), gets);
		fs.rmSync(path.join(codexHome, 'ballast'));
		const models = await catalog.list();
		expect(models.length).toBeGreaterThan(0);
		await events.nth('exited', 2);
		fill();
		await expectOutcome(catalog.list({ refresh: true }), gets);
		expect(await catalog.list()).toEqual(models);
	},
	lackOfMount,
);

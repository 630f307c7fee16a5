import { expect, test } from 'vitest';
import { neverMs } from '../harness.js';
import {
	appServer,
	decideCell,
	findBinaries,
	makeReleaseCatalog,
	releases,
} from './release-harness.js';

test.runIf(process.platform === 'linux').each(releases)(
	'$version: the library starts the native binary that the launcher would start',
	async (release) => {
		decideCell(release, 'binary');
		const options = { keepAliveMs: neverMs };
		const { catalog, events } = makeReleaseCatalog(release, options);
		await catalog.list();
		const { pid } = await events.nth('spawned');
		const binaries = findBinaries();
		expect(binaries).toMatchObject([{ pid }]);
		await catalog.close();
		// Node is the command, so the library does not look behind the launcher.
		const launcher = { version: release.version, command: process.execPath };
		const args = [release.command, ...appServer];
		await makeReleaseCatalog(launcher, { ...options, args }).catalog.list();
		const withoutPid = findBinaries().map(({ file, argv }) => ({ file, argv }));
		expect(binaries).toMatchObject(withoutPid);
	},
);

// 2. A cold list on the real Codex, beside the bare conversation with it.
import { CodexModelCatalog } from '../dist/index.js';
import { findProgram } from '../dist/program.js';
import { codexVersion, converse, findReleases, makeUsedHome, realCodex } from './codex.js';
import { hand, interleave, median, stayAlive } from './measure.js';

stayAlive();

const releases = [{ version: codexVersion, command: realCodex, rounds: 31 }];
for (const release of findReleases()) releases.push({ ...release, rounds: 9 });

const rows = [];
for (const { version, command, rounds } of releases) {
	const { codexHome, env } = await makeUsedHome(command);
	const program = await findProgram(command, env);
	let ended = () => {};

	const contenders = {
		async library() {
			const gone = new Promise((resolve) => {
				ended = resolve;
			});
			const catalog = new CodexModelCatalog({
				command,
				codexHome,
				onEvent: ({ type }) => {
					if (type === 'exited') ended();
				},
			});
			const startedAt = performance.now();
			await catalog.list();
			const tookMs = performance.now() - startedAt;
			// As those beside it: the next one starts when this one's process has ended by itself.
			await gone;
			return tookMs;
		},
		launcher: async () => (await converse({ command, env })).tookMs,
		program: async () => (await converse(program)).tookMs,
	};
	await contenders.library();
	const { library, launcher, program: bare } = await interleave(rounds, contenders);
	rows.push({
		version,
		rounds,
		isFound: program.command !== command,
		libraryMs: median(library),
		launcherMs: median(launcher),
		programMs: median(bare),
		// Medians of pairs, each of one round.
		toProgram: median(library.map((ms, round) => ms / bare[round])),
		toLauncher: median(library.map((ms, round) => ms / launcher[round])),
	});
}
hand({ rows });

// The program that the tests bundle and compile: it lists once, and prints what the library did.
import { readlinkSync } from 'node:fs';
import { CodexModelCatalog } from 'codex-models';
import { fileStore } from 'codex-models/file-store';

const [directory, command, codexHome] = process.argv.slice(2) as [string, string, string];
const report = { ids: [] as string[], started: [] as string[], failures: [] as string[] };

const catalog = new CodexModelCatalog({
	command,
	codexHome,
	store: fileStore({ directory }),
	onEvent(event) {
		if (event.type === 'spawned') {
			report.started.push(
				process.platform === 'linux' ? readlinkSync(`/proc/${event.pid}/exe`) : String(event.pid),
			);
		}
		if (event.type === 'store-failed') report.failures.push(`${event.operation}: ${event.reason}`);
		if (event.type === 'failed') report.failures.push(event.error.message);
	},
});

async function main(): Promise<void> {
	report.ids = (await catalog.list()).map(({ id }) => id);
	await catalog.close();
	console.log(JSON.stringify(report));
}

main();

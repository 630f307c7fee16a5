// A host on one of the runtimes, with the built package under its own name. Its arguments: a scene, the catalog's options,
// and the scene's settings, in JSON. It writes a line of JSON for each thing that it tells.
import { CodexModelCatalog, codexModels, listCodexModels } from 'codex-models';
import { fileStore } from 'codex-models/file-store';

const [scene = '', options = '{}', settings = '{}'] = process.argv.slice(2);
const { directory, leave } = JSON.parse(settings);
const events = [];
let onSpawned = () => {};
const spawned = new Promise((resolve) => {
	onSpawned = resolve;
});

const tell = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const idsOf = (models) => models.map(({ id }) => id);
const failureOf = (promise) => promise.then(idsOf, (error) => error);

const catalog = new CodexModelCatalog({
	...JSON.parse(options),
	...(directory && { store: fileStore({ directory }) }),
	onEvent(event) {
		events.push(event.type);
		if (event.type === 'spawned') onSpawned();
	},
});

const leaves = {
	return() {},
	exit: () => process.exit(7),
	throw() {
		throw new Error('thrown by the host');
	},
	wait: () => setInterval(() => {}, 60_000),
};

const scenes = {
	async lists() {
		const visible = await catalog.list();
		const all = await catalog.list({ includeHidden: true });
		tell({ visible: idsOf(visible), all: idsOf(all), isFrozen: Object.isFrozen(all[0]) });
	},
	async 'lists by the drop-in'() {
		const visible = await listCodexModels();
		tell({
			visible: idsOf(visible),
			all: idsOf(await listCodexModels(true)),
			names: Object.keys(visible[0]),
		});
		await codexModels.close();
	},
	async fails() {
		tell(await failureOf(catalog.list()));
	},
	async aborts() {
		const reason = { isTheReason: true };
		const controller = new AbortController();
		const failure = failureOf(catalog.list({ signal: controller.signal }));
		await spawned;
		controller.abort(reason);
		tell({ isTheReason: (await failure) === reason });
		await catalog.close();
	},
	async closes() {
		const failure = failureOf(catalog.list());
		await spawned;
		await catalog.close();
		tell([await failure, await failureOf(catalog.list())]);
	},
	async shares() {
		const models = await catalog.list();
		await catalog.close();
		tell({ ids: idsOf(models), events });
	},
	async leaves() {
		catalog.list().catch(() => {});
		await spawned;
		tell('spawned');
		leaves[leave]();
	},
	/** It is done while a refresh runs behind it. */
	async refreshes() {
		await catalog.list();
		const ids = idsOf(await catalog.list());
		await new Promise((resolve) => setTimeout(resolve));
		tell({ ids });
	},
};

await scenes[scene]();

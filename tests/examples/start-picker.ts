import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { CodexModelCatalog, type CodexModelCatalogOptions } from 'codex-models';
import { createPickerServer } from '../../examples/http-route/server.js';
import { afterTest, neverMs, type Step, script } from '../harness.js';

/** An entry of the wire, in the names of Codex. */
export const wireModel = (id: string, rest: object = {}) => ({
	id,
	model: id,
	displayName: id.toUpperCase(),
	...rest,
});

/** An app-server whose list has these ids. */
export const lists = (...ids: string[]): Step => [
	'answers',
	{ models: ids.map((id) => wireModel(id)) },
];

/** An app-server that answers the request for its models with an error. */
export const refuses = (message: string): Step => [
	'refuses',
	{ at: 'model/list', error: { code: -32000, message } },
];

/** The example's server, in front of a catalog whose app-server follows these steps. */
export async function startPicker(
	steps: Step[],
	{ heartbeatMs, ...options }: CodexModelCatalogOptions & { heartbeatMs?: number } = {},
) {
	const appServer = script(...steps);
	const { command, args } = appServer;
	const limits = { retries: 0, deadlineMs: neverMs, fetchTimeoutMs: neverMs };
	const catalog = new CodexModelCatalog({ command, args, ...limits, ...options });
	const server = createPickerServer(catalog, { heartbeatMs });
	afterTest(async () => {
		server.close();
		server.closeAllConnections();
		await catalog.close();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as AddressInfo;
	return { appServer, catalog, server, url: `http://127.0.0.1:${port}/` };
}

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type CatalogSnapshot, type CodexModel, CodexModelCatalog } from 'codex-models';
import { createPickerServer } from '../../examples/http-route/server.js';
import { afterTest, neverMs, type Step, script } from '../harness.js';

/** An entry of the wire, in the names of Codex. */
export const wireModel = (id: string, rest = {}) => ({
	id,
	displayName: id.toUpperCase(),
	...rest,
});

/** An app-server with these models, and perhaps a configuration. */
export const answers = (models: object[], config = {}): Step => ['answers', { models, config }];
export const lists = (...ids: string[]) => answers(ids.map((id) => wireModel(id)));

const gates = { 'model/list': 'go' };

/** An app-server that lists its model when the test opens the gate `go`. */
export const answersLate = (id: string): Step => ['answers', { models: [wireModel(id)], gates }];

/** An app-server that answers the request for its models with an error. */
export const refuses = (message: string): Step => [
	'answersWith',
	{ message: { error: { code: -32000, message } } },
];

type Options = ConstructorParameters<typeof CodexModelCatalog>[0];
type ServerOptions = Parameters<typeof createPickerServer>[1];

/** The example's server, in front of a catalog whose app-server follows these steps. */
export async function startPicker(steps: Step[], options?: Options, serverOptions?: ServerOptions) {
	const appServer = script(...steps);
	const { command, args } = appServer;
	const scripted = options?.fetchModels ? {} : { command, args, retries: 0 };
	const limits = { deadlineMs: neverMs, fetchTimeoutMs: neverMs };
	const catalog = new CodexModelCatalog({ ...scripted, ...limits, ...options });
	const server = createPickerServer(catalog, serverOptions);
	afterTest(async () => {
		server.close();
		server.closeAllConnections();
		await catalog.close();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address() as AddressInfo;
	return { appServer, catalog, server, port, url: `http://127.0.0.1:${port}/` };
}

type Failure = { success: boolean; code?: string; error?: string };
export type Body = Omit<CatalogSnapshot, 'models'> & { models: CodexModel[] } & Failure;

export const ask = async (url: string, method = 'GET', query = '') => {
	const response = await fetch(`${url}codex-models${query}`, { method });
	const { status, headers } = response;
	return { status, headers, body: (await response.json()) as Body };
};

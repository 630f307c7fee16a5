// The models of a picker over HTTP: as JSON, as server-sent events, and as a page.
// Run: node examples/http-route/server.js [port]
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { CodexModelCatalog, CodexModelsError } from 'codex-models';
import { fileStore } from 'codex-models/file-store';

const page = await readFile(new URL('picker.html', import.meta.url));

// A browser gets the message and the code of an error; `stderr`, `hint` and `cause` stay here.
const toReason = (error) => error && { code: error.code, message: error.message };
const toBody = (snapshot) => ({
	success: true,
	...snapshot,
	refreshError: toReason(snapshot.refreshError),
});
const toFailure = (error) => ({ success: false, code: error.code, error: error.message });

function sendJson(response, status, body) {
	response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
	response.end(JSON.stringify(body));
}

async function sendSnapshot(catalog, options, response) {
	try {
		const snapshot = await catalog.read(options);
		response.setHeader('age', Math.max(0, Math.round((Date.now() - snapshot.fetchedAt) / 1_000)));
		sendJson(response, 200, toBody(snapshot));
	} catch (error) {
		if (!(error instanceof CodexModelsError)) throw error;
		// A fetch goes on after a caller's deadline, so the list is likely to be there soon.
		response.setHeader('retry-after', error.code === 'ERR_CODEX_TIMEOUT' ? 5 : 30);
		// 503 for every code: some proxies replace the body of a 502 or 504 with a page of their own.
		sendJson(response, 503, toFailure(error));
	}
}

/** Sends the current snapshot and each changed one; sends the failure where there is no list. */
function streamSnapshots(catalog, { signal, ...target }, response, heartbeatMs) {
	response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
	response.flushHeaders();
	let last;
	const send = (event, body) => {
		const text = `event: ${event}\ndata: ${JSON.stringify(body)}\n\n`;
		if (text !== last) response.write(text);
		last = text;
	};
	const sendFailure = (error) =>
		error instanceof CodexModelsError && send('failure', toFailure(error));
	// Subscribed before the first read: no change falls between the two.
	const unsubscribe = catalog.subscribe((snapshot) => send('snapshot', toBody(snapshot)), target);
	catalog
		.read({ signal, ...target })
		.then((snapshot) => send('snapshot', toBody(snapshot)), sendFailure);
	const heartbeat = setInterval(() => {
		response.write(': heartbeat\n\n');
		// Revalidates a stale list, for a subscription alone asks for none. A first list is left to a refresh.
		if (catalog.peek(target)) catalog.read({ signal, ...target }).catch(sendFailure);
	}, heartbeatMs);
	signal.addEventListener('abort', () => {
		clearInterval(heartbeat);
		unsubscribe();
	});
}

/** An HTTP server in front of one catalog, which all clients share. */
export function createPickerServer(catalog, { heartbeatMs = 20_000 } = {}) {
	const answer = async (request, response) => {
		const { pathname, searchParams } = new URL(`http://localhost${request.url}`);
		const client = new AbortController();
		response.on('close', () => client.abort());
		const options = { includeHidden: searchParams.get('hidden') === 'true', signal: client.signal };
		switch (`${request.method} ${pathname}`) {
			case 'GET /':
				return response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
			case 'GET /codex-models':
				return sendSnapshot(catalog, options, response);
			case 'POST /codex-models':
				return sendSnapshot(catalog, { ...options, refresh: true }, response);
			case 'GET /codex-models/events':
				return streamSnapshots(catalog, options, response, heartbeatMs);
			default:
				return sendJson(response, 404, { success: false, error: 'There is no such page.' });
		}
	};
	return createServer((request, response) => {
		answer(request, response).catch((error) => {
			if (response.destroyed) return; // The client left.
			console.error(error);
			sendJson(response, 500, { success: false, error: 'The server failed.' });
		});
	});
}

if (process.argv[1] === import.meta.filename) {
	const catalog = new CodexModelCatalog({
		// The tool's own path to Codex, where its user has set one.
		command: process.env.MY_TOOL_CODEX_PATH,
		clientInfo: { name: 'my-hub', title: 'My Hub', version: '1.0.0' },
		// Shorter than the time limits of the proxies in front of this server.
		deadlineMs: 10_000,
		store: fileStore({ directory: process.env.MY_TOOL_CACHE }),
	});
	const server = createPickerServer(catalog);
	server.listen(Number(process.argv[2] ?? 3000), '127.0.0.1', () => {
		console.log(`http://127.0.0.1:${server.address().port}/`);
	});
	for (const signal of ['SIGINT', 'SIGTERM']) {
		process.once(signal, () => {
			server.close();
			server.closeAllConnections();
			void catalog.close();
		});
	}
}

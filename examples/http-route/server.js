// The models of a picker over HTTP: as JSON, as server-sent events, and as a page. See README.md.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { CodexModelCatalog, CodexModelsError } from 'codex-models';
import { fileStore } from 'codex-models/file-store';

// Browsers hash an inline script with "\n" as its line ends; a checkout on Windows may have "\r\n".
const page = (await readFile(new URL('picker.html', import.meta.url), 'utf8')).replaceAll(
	'\r\n',
	'\n',
);

function hashElement(tag) {
	const [, text] = new RegExp(`<${tag}[^>]*>(.*)</${tag}>`, 's').exec(page);
	return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

// The page may run its own script and ask its own server, and no other page may frame it.
const policy = [
	"default-src 'none'",
	`script-src ${hashElement('script')}`,
	`style-src ${hashElement('style')}`,
	"connect-src 'self'",
	'img-src data:',
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
	"require-trusted-types-for 'script'",
].join('; ');
const headers = {
	'cache-control': 'no-store',
	'content-security-policy': policy,
	'cross-origin-resource-policy': 'same-origin',
	'referrer-policy': 'no-referrer',
	'x-content-type-options': 'nosniff',
};

/** Whether a request is for this server, and comes from its own page or from no page at all. */
function isTrusted({ host = '', origin, 'sec-fetch-site': site = 'none' }, hosts) {
	return (
		// With DNS rebinding, a page reaches this server by a name of its own.
		hosts.includes(host.replace(/:\d+$/, '')) &&
		(origin === undefined || [`http://${host}`, `https://${host}`].includes(origin)) &&
		// A browser sends no `Origin` with a GET for an image or a script.
		['none', 'same-origin'].includes(site)
	);
}

// A browser gets the message and the code of an error; `stderr`, `hint` and `cause` stay here.
const toReason = (error) => error && { code: error.code, message: error.message };
const toBody = (snapshot) => ({
	success: true,
	...snapshot,
	refreshError: toReason(snapshot.refreshError),
});
const toFailure = (error) => ({ success: false, code: error.code, error: error.message });

function sendJson(response, status, body) {
	response.writeHead(status, { 'content-type': 'application/json' });
	response.end(JSON.stringify(body));
}

const refuse = (response, status, error) => sendJson(response, status, { success: false, error });

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

/** Sends the list and each change of it, or the failure where there is no list. */
function streamSnapshots(
	catalog,
	{ signal, ...target },
	response,
	{ heartbeatMs, maxUnreadBytes },
) {
	response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
	const write = (text) => {
		// A client that does not read is dropped: what waits for it takes memory.
		if (response.writableLength > maxUnreadBytes) response.destroy();
		else response.write(text);
	};
	const send = (event, body) => write(`event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
	let last;
	const show = (snapshot) => {
		if (snapshot === last) return;
		last = snapshot;
		if (snapshot) return send('snapshot', toBody(snapshot));
		// Another user has logged in, or the host has called `clear`.
		send('cleared', {});
		read();
	};
	const fail = (error) => error instanceof CodexModelsError && send('failure', toFailure(error));
	const read = () => catalog.read({ signal, ...target }).then(show, fail);
	// Subscribed before the first read: no change falls between the two.
	const unsubscribe = catalog.subscribe(show, target);
	read();
	const heartbeat = setInterval(() => {
		write(': heartbeat\n\n');
		// Revalidates a stale list, and tells its new age. A first list is left to a refresh.
		if (catalog.peek(target)) read();
	}, heartbeatMs);
	signal.addEventListener('abort', () => {
		clearInterval(heartbeat);
		unsubscribe();
	});
}

// The names that browsers know this server by. Behind a proxy, it has another.
const loopback = ['127.0.0.1', 'localhost', '[::1]'];

/** An HTTP server in front of one catalog, which all clients share. */
export function createPickerServer(
	catalog,
	{ hosts = loopback, heartbeatMs = 20_000, maxStreams = 100, maxUnreadBytes = 1_000_000 } = {},
) {
	let streams = 0;
	const answer = async (request, response) => {
		const { pathname, searchParams } = new URL(`http://localhost${request.url}`);
		const client = new AbortController();
		response.on('close', () => client.abort());
		const target = { includeHidden: searchParams.get('hidden') === 'true', signal: client.signal };
		switch (`${request.method} ${pathname}`) {
			case 'GET /':
				return response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
			case 'GET /codex-models':
				return sendSnapshot(catalog, target, response);
			case 'POST /codex-models':
				return sendSnapshot(catalog, { ...target, refresh: true }, response);
			case 'GET /codex-models/events':
				if (streams >= maxStreams)
					return refuse(response, 429, 'Too many pages are open. Close some, then try again.');
				streams += 1;
				response.on('close', () => {
					streams -= 1;
				});
				return streamSnapshots(catalog, target, response, { heartbeatMs, maxUnreadBytes });
			default:
				return refuse(response, 404, 'There is no such page.');
		}
	};
	return createServer((request, response) => {
		response.setHeaders(new Map(Object.entries(headers)));
		if (!isTrusted(request.headers, hosts))
			return refuse(response, 403, 'This server answers its own page only, under its own name.');
		answer(request, response).catch((error) => {
			// The client left, or the answer has begun.
			if (response.destroyed || response.headersSent) return response.destroy();
			console.error(error);
			refuse(response, 500, 'The server failed.');
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

// A session of the hub: a process of its own, with this library and a file store that all sessions share.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileStore } from '../dist/file-store.js';
import { CodexModelCatalog } from '../dist/index.js';
import { watchCatalog } from './catalog-watch.js';
import { clock, scaledOptions } from './simulated-time.js';

const [{ command, args, directory, answersAtOnce }] = await once(process, 'message');
const watch = watchCatalog();
const catalog = new CodexModelCatalog({
	command,
	args,
	...scaledOptions,
	store: fileStore({ directory }),
	onEvent: watch.onEvent,
});

let isIdle = true;
setInterval(() => {
	if (!process.connected || isIdle === watch.isIdle()) return;
	isIdle = !isIdle;
	process.send({ isIdle });
}, 5).unref();
// The hub may go while a message is on its way.
process.on('error', () => {});

process.on('message', async ({ index, offsetMs }) => {
	clock.offsetMs = offsetMs;
	isIdle = false;
	try {
		process.send({ index, ...(await watch.time(answersAtOnce ? async () => [] : () => catalog.list())) });
	} catch ({ message, waitedMs }) {
		process.send({ index, error: message, waitedMs });
	}
});
// A session is seldom asked in the moment of its start: what it loads behind it is there by then.
await sleep(100);
process.send({ isUp: true });

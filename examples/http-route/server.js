// A web hub's route: the models that a picker shows, and how old the list is.
// Run: node examples/http-route/server.js [port]
import { serve } from '@hono/node-server';
import { CodexModelCatalog, CodexModelsError, toSummary } from 'codex-models';
import { fileStore } from 'codex-models/file-store';
import { Hono } from 'hono';

const catalog = new CodexModelCatalog({
	// The tool's own path to Codex, where its user has set one.
	command: process.env.MY_TOOL_CODEX_PATH,
	clientInfo: { name: 'my-hub', title: 'My Hub', version: '1.0.0' },
	// Below every limit above it: this call's own, the hub's for a remote call, the tunnel's 100 s.
	deadlineMs: 10_000,
	store: fileStore({ directory: process.env.MY_TOOL_CACHE }),
});

const app = new Hono();

app.get('/api/sessions/:id/codex-models', async (context) => {
	const includeHidden = context.req.query('hidden') === 'true';
	try {
		const models = await catalog.list({ includeHidden, signal: context.req.raw.signal });
		const fetchedAt = catalog.peek()?.fetchedAt ?? Date.now();
		const age = Math.max(0, Math.round((Date.now() - fetchedAt) / 1_000));
		context.header('Age', String(age));
		return context.json({ success: true, models: models.map(toSummary), fetchedAt });
	} catch (error) {
		if (!(error instanceof CodexModelsError)) throw error;
		// After a time-out the fetch goes on: a little later its list is likely to be there.
		context.header('Retry-After', error.code === 'ERR_CODEX_TIMEOUT' ? '5' : '30');
		return context.json({ success: false, code: error.code, error: error.message }, 503);
	}
});

const server = serve(
	{ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.argv[2] ?? 3000) },
	({ port }) => {
		console.log(`http://127.0.0.1:${port}/api/sessions/1/codex-models`);
	},
);

for (const signal of ['SIGINT', 'SIGTERM']) {
	process.once(signal, () => {
		server.close();
		void catalog.close();
	});
}

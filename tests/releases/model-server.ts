import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterTest } from '../harness.js';

type Who = {
	user?: string;
	workspace?: string;
	plan?: string;
	expiresAt?: number;
	issuedAt?: number;
};

const authClaim = 'https://api.openai.com/auth';
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
const decode = (part = '') => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));

/** An unsigned token; its times are in epoch seconds. */
function makeToken({
	user = 'ann',
	workspace = 'ws-1',
	plan = 'pro',
	expiresAt = 4_102_444_800,
	issuedAt = 1_700_000_000,
}: Who = {}): string {
	const claims = { chatgpt_plan_type: plan, chatgpt_account_id: workspace, chatgpt_user_id: user };
	const times = { iat: issuedAt, exp: expiresAt };
	const payload = { sub: user, email: `${user}@example.com`, ...times, [authClaim]: claims };
	return `${encode({ alg: 'none' })}.${encode(payload)}.${encode({})}`;
}

/** The text of an `auth.json` with a ChatGPT login. */
export function makeLogin(who: Who = {}, refreshToken = 'r1', lastRefresh = new Date()): string {
	const token = makeToken(who);
	return JSON.stringify({
		auth_mode: 'chatgpt',
		OPENAI_API_KEY: null,
		tokens: {
			id_token: token,
			access_token: token,
			refresh_token: refreshToken,
			account_id: who.workspace ?? 'ws-1',
		},
		last_refresh: lastRefresh.toISOString(),
	});
}

/** A model as OpenAI's server and a catalogue in a file describe it. */
export const serverModel = (slug: string, priority = 1) => ({
	slug,
	display_name: slug,
	description: 'd',
	supported_reasoning_levels: [{ effort: 'low', description: 'l' }],
	default_reasoning_level: 'low',
	shell_type: 'shell_command',
	visibility: 'list',
	supported_in_api: true,
	priority,
	base_instructions: 'b',
	supports_reasoning_summaries: false,
	support_verbosity: false,
	truncation_policy: { mode: 'bytes', limit: 10_000 },
	supports_parallel_tool_calls: false,
	experimental_supported_tools: [],
});

/** The claims of the caller's token; a token of another kind counts as the user's name. */
function readCaller({ headers }: IncomingMessage): { user: string; plan: string } {
	const bearer = (headers.authorization ?? '').replace(/^Bearer /, '');
	try {
		const claims = decode(bearer.split('.')[1])[authClaim];
		return { user: claims.chatgpt_user_id, plan: claims.chatgpt_plan_type };
	} catch {
		return { user: bearer, plan: 'none' };
	}
}

/** A server for models and tokens on the loopback, until the test is over: each user and plan has one model. */
export async function startModelServer() {
	const state = {
		/** The status of each answer; 0: the server is silent. */
		status: 200,
		silences: 0,
		/** The answer to a refresh of a token: the login of this user. */
		refreshedAs: undefined as Who | undefined,
		refreshes: 0,
		requests: 0,
		/** Each answer waits for this. */
		gate: Promise.resolve(),
		/** Is called before a list of models is sent. */
		onModels: async () => {},
	};
	const server = createServer(async (request, response) => {
		if (state.status === 0) return void state.silences++;
		await state.gate;
		const isRefresh = request.url?.includes('/oauth/token');
		if (isRefresh && state.refreshedAs) {
			state.refreshes++;
			const token = makeToken(state.refreshedAs);
			const tokens = { id_token: token, access_token: token, refresh_token: 'r2' };
			response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(tokens));
		} else if (state.status !== 200 || !request.url?.includes('/models')) {
			response.writeHead(state.status === 200 ? 404 : state.status).end('{}');
		} else {
			state.requests++;
			const { user, plan } = readCaller(request);
			await state.onModels();
			response
				.writeHead(200, { 'content-type': 'application/json', etag: '"1"' })
				.end(JSON.stringify({ models: [serverModel(`of-${user}-${plan}`)] }));
		}
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	afterTest(() => {
		server.closeAllConnections();
		return new Promise((resolve) => server.close(resolve));
	});
	const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return Object.assign(state, {
		config: `openai_base_url = "${origin}/v1"\nchatgpt_base_url = "${origin}/backend-api/"\n`,
		env: { CODEX_REFRESH_TOKEN_URL_OVERRIDE: `${origin}/oauth/token` },
	});
}

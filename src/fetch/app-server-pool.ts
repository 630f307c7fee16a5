import type { AppServer, AppServerListeners } from './app-server.js';
import { briskGrace, patientGrace } from './grace.js';
import { buildEnvironment, type ListPlace, type ResolvedOptions } from './options.js';
import type { Origin } from './origin.js';

type Kept = { server: AppServer; origin: Origin; timer: NodeJS.Timeout };

/** The app-servers of a catalog: at work, kept for the next fetch, or about to end. */
export class AppServers {
	readonly #options: ResolvedOptions;
	readonly #living = new Set<AppServer>();
	readonly #kept = new Map<string, Kept>();

	constructor(options: ResolvedOptions) {
		this.#options = options;
	}

	/** @throws the signal's reason where it aborts before anything is started. */
	async start(
		{ cwd, codexHome }: ListPlace,
		signal: AbortSignal,
		listeners: AppServerListeners,
	): Promise<AppServer> {
		const { command, args, clientInfo } = this.#options;
		// Not before one is started: half of the package is this, and most calls are hits.
		const [{ AppServer }, { findProgram }, spawn] = await Promise.all([
			import('./app-server.js'),
			import('./program.js'),
			loadSpawn(),
		]);
		const program = await findProgram(command, buildEnvironment(this.#options, codexHome));
		signal.throwIfAborted();
		const server = new AppServer(
			{ ...program, args, cwd, knownAs: command, ...(spawn && { spawn }) },
			clientInfo,
			listeners,
		);
		this.#living.add(server);
		server.gone.then(() => this.#living.delete(server));
		return server;
	}

	/** For one that has answered: keeps it for `keepAliveMs`, or ends it. */
	release(key: string, server: AppServer, origin: Origin): void {
		const { keepAliveMs } = this.#options;
		if (keepAliveMs === 0 || server.isLost) {
			server.end(patientGrace);
			return;
		}
		this.drop(key);
		const timer = setTimeout(() => this.drop(key), keepAliveMs).unref();
		this.#kept.set(key, { server, origin, timer });
	}

	/** The one that is kept, unless it has died or was started with another login or configuration. */
	take(key: string, { account, configuration }: Origin): AppServer | undefined {
		const kept = this.#kept.get(key);
		if (!kept) return undefined;
		const { server, origin } = kept;
		if (server.isLost || origin.account !== account || origin.configuration !== configuration) {
			this.drop(key);
			return undefined;
		}
		clearTimeout(kept.timer);
		this.#kept.delete(key);
		return server;
	}

	/** Ends the one that is kept. */
	drop(key: string): void {
		const kept = this.#kept.get(key);
		if (!kept) return;
		clearTimeout(kept.timer);
		this.#kept.delete(key);
		kept.server.end(patientGrace);
	}

	dropAll(): void {
		for (const key of this.#kept.keys()) this.drop(key);
	}

	/** Resolves when none is left. */
	async end(): Promise<void> {
		this.dropAll();
		await Promise.all(
			[...this.#living].map((server) => {
				server.end(briskGrace);
				return server.gone;
			}),
		);
	}
}

/** On Windows `codex` is `codex.cmd`, which Node's own `spawn` does not find, nor start without a shell. */
async function loadSpawn() {
	return process.platform === 'win32' ? (await import('cross-spawn')).default : undefined;
}

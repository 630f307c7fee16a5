import { vi } from 'vitest';
import {
	type CodexConfiguredModel,
	type CodexModel,
	unknownConfiguredModel,
} from '../../src/api/codex-model.js';
import { CodexModelsError } from '../../src/api/errors.js';
import type { Emit } from '../../src/api/events.js';
import type { Fetch, FetchTarget, Fingerprint, ModelListAnswer } from '../../src/api/fetch.js';
import type { ModelListStore } from '../../src/api/model-list-store.js';
import { ModelList } from '../../src/cache/model-list.js';

export const start = Date.UTC(2026, 0, 1);
export const maxAgeMs = 300_000;
export const staleWhileRevalidateMs = 86_400_000;
export const servableMs = maxAgeMs + staleWhileRevalidateMs;
export const cooldownMs = 30_000;
/** The minimum time between two looks at the files. */
export const checkIntervalMs = 1_000;

/** Stops the clock and the timers of the cache at `start`; promises and `setImmediate` go on. */
export function stopClock(): void {
	vi.useFakeTimers({
		now: start,
		toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
	});
}

/** Sets the clock without running a timer. */
export const setAge = (ms: number) => vi.setSystemTime(start + ms);

/** Lets time pass: the clock and the timers. */
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** Resolves when everything that promises have made ready has run. */
export const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A promise, and the functions that settle it. */
export function makeGate<T = void>() {
	let open: (value: T) => void = () => {};
	let fail: (error: unknown) => void = () => {};
	const opened = new Promise<T>((resolve, reject) => {
		open = resolve;
		fail = reject;
	});
	return { opened, open, fail };
}

/** An object whose `then` throws, when it is called or when it is read. */
export function makeThenable(when: 'called' | 'read'): object {
	const fail = () => {
		throw new Error('of the thenable');
	};
	return Object.defineProperty({}, 'then', when === 'read' ? { get: fail } : { value: fail });
}

export const never = () => new Promise<never>(() => {});

export async function isPending(promise: Promise<unknown>): Promise<boolean> {
	let isSettled = false;
	const note = () => {
		isSettled = true;
	};
	promise.then(note, note);
	await settle();
	return !isSettled;
}

/** The reason of a rejection; a promise that resolves fails the test. */
export async function failureOf(
	promise: Promise<unknown>,
): Promise<Error & Record<string, unknown>> {
	const [result] = await Promise.allSettled([promise]);
	if (result.status === 'rejected') return result.reason;
	throw new Error(`Expected a rejection, got ${JSON.stringify(result.value)}`);
}

export const makeModel = (id: string, facts: Partial<CodexModel> = {}): CodexModel => ({
	id,
	model: id,
	displayName: id,
	description: null,
	hidden: false,
	isDefault: false,
	upgrade: null,
	supportedReasoningEfforts: [],
	defaultReasoningEffort: null,
	serviceTiers: [],
	defaultServiceTier: null,
	inputModalities: [],
	...facts,
});

export const idsOf = (models: readonly { id: string }[] | undefined) => models?.map(({ id }) => id);

/** A failure of a fetch, as an app-server that ends early makes it. */
export const exitError = (exitCode = 1) =>
	new CodexModelsError('ERR_CODEX_EXITED', `Codex ended with exit code ${exitCode}`, {
		exitCode,
		signal: null,
		stderr: '',
		phase: 'initialize',
	});

export const firstFingerprint: Fingerprint = {
	account: 'one',
	configuration: 'first',
	command: 'first',
};

export const makeList = (
	models: (string | CodexModel)[],
	{ fetchedAt = start, configured = unknownConfiguredModel, fingerprint = firstFingerprint } = {},
) => new ModelList({ models: models.map(toModel), configured }, fetchedAt, fingerprint);

const toModel = (model: string | CodexModel) =>
	typeof model === 'string' ? makeModel(model) : model;

/** The files of a user, as far as a fingerprint tells of them. */
export function makeFiles(fingerprint: Partial<Fingerprint> = {}) {
	let hanging: Promise<void> | undefined;
	const files = {
		current: { ...firstFingerprint, ...fingerprint } as Fingerprint,
		/** The number of looks at them. */
		looks: 0,
		change(change: Partial<Fingerprint>) {
			files.current = { ...files.current, ...change };
		},
		/** Each look that starts after this hangs until the returned function is called. */
		hang() {
			const gate = makeGate();
			hanging = gate.opened;
			return () => {
				hanging = undefined;
				gate.open();
			};
		},
		async read(_target?: FetchTarget): Promise<Fingerprint> {
			files.looks++;
			const read = files.current;
			await hanging;
			return read;
		},
	};
	return files;
}

export type Files = ReturnType<typeof makeFiles>;

type FetchContext = {
	target: FetchTarget;
	fingerprint: Fingerprint;
	signal: AbortSignal;
	emit: Emit;
};

/** A fetch whose outcome a test decides. */
export class FakeFetch implements Fetch {
	attempts = 1;
	readonly #answer = makeGate<ModelListAnswer>();
	readonly #released = makeGate();
	readonly answer = this.#answer.opened;
	readonly nextMayStart = this.#released.opened;

	readonly context: FetchContext;
	readonly #lingers: boolean;

	/** @param lingers - whether the app-server outlives a failure, until `release`. */
	constructor(context: FetchContext, lingers: boolean) {
		this.context = context;
		this.#lingers = lingers;
		const { signal } = context;
		this.answer.catch(() => {});
		signal.addEventListener('abort', () => this.fail(signal.reason), { once: true });
	}

	succeed(
		models: (string | CodexModel)[],
		configured: CodexConfiguredModel = { ...unknownConfiguredModel },
	): void {
		this.#answer.open({ models: models.map(toModel), configured });
		this.release();
	}

	fail(error: unknown = exitError()): void {
		this.#answer.fail(error);
		if (!this.#lingers) this.release();
	}

	release(): void {
		this.#released.open();
	}

	progress() {
		return { phase: 'model/list' as const, stderr: 'some words', stderrSummary: 'some words' };
	}
}

/** A store in memory, with some methods replaced. */
export function makeStore(methods: Partial<ModelListStore> = {}, map = new Map<string, unknown>()) {
	const store: ModelListStore = {
		get: (key) => map.get(key),
		set: (key, value) => map.set(key, value),
		delete: (key) => map.delete(key),
		...methods,
	};
	return Object.assign(store, { map });
}

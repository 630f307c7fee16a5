import {
	type CodexConfiguredModel,
	type CodexModel,
	type CodexModelSummary,
	copyModel,
	copySummary,
	toSummary,
} from '../core/codex-model.js';
import type { CodexModelsError } from '../core/errors.js';
import type { Fingerprint, ModelListAnswer } from '../core/fetch.js';
import type { Settings } from '../core/settings.js';

/** A list of models, and where it stands. */
export type CatalogSnapshot = {
	/** The caller's own copy. */
	models: CodexModel[];
	/** The time at which Codex answered, in epoch ms. */
	fetchedAt: number;
	/** Whether the list is younger than `maxAgeMs`, and from the current configuration. */
	isFresh: boolean;
	/** The choice of the user's configuration; three `null`s where Codex does not tell. */
	configured: CodexConfiguredModel;
	/** The reason why the last refresh after `fetchedAt` failed; `null` if none did. */
	refreshError: CodexModelsError | null;
};

/** One list in both views, with its age and the failure of its last refresh. Callers only get copies. */
export class ModelList {
	/** In epoch ms. */
	readonly fetchedAt: number;
	readonly fingerprint: Fingerprint;
	readonly configured: Readonly<CodexConfiguredModel>;
	/** The last failed refresh since, and its time in epoch ms. */
	failure: { error: CodexModelsError; at: number } | undefined;
	readonly #models: readonly CodexModel[];
	readonly #visibleModels: readonly CodexModel[];
	#summaries: readonly CodexModelSummary[] | undefined;
	#visibleSummaries: readonly CodexModelSummary[] | undefined;

	constructor({ models, configured }: ModelListAnswer, fetchedAt: number, fingerprint: Fingerprint) {
		this.fetchedAt = fetchedAt;
		this.fingerprint = fingerprint;
		this.configured = configured;
		this.#models = models;
		this.#visibleModels = models.filter((model) => !model.hidden);
	}

	/** The number of models, hidden ones included. */
	get size(): number {
		return this.#models.length;
	}

	copyModels(includeHidden: boolean): CodexModel[] {
		return (includeHidden ? this.#models : this.#visibleModels).map(copyModel);
	}

	copySummaries(includeHidden: boolean): CodexModelSummary[] {
		if (includeHidden) {
			this.#summaries ??= this.#models.map(toSummary);
			return this.#summaries.map(copySummary);
		}
		this.#visibleSummaries ??= this.#visibleModels.map(toSummary);
		return this.#visibleSummaries.map(copySummary);
	}

	/** Whether the list is young enough and from these files. */
	isFresh({ configuration, command }: Fingerprint, now: number, { maxAgeMs }: Settings): boolean {
		const own = this.fingerprint;
		if (own.configuration !== configuration) return false;
		// A command that is a function was not called yet by this process: nothing is known against the list.
		if (command !== null && own.command !== command) return false;
		// After the clock was set back the age is unknown, and the list is not fresh until the clock has caught up.
		return now >= this.fetchedAt && now - this.fetchedAt < maxAgeMs;
	}

	/** Whether the list may be served at all, fresh or stale. */
	isServable(now: number, { maxAgeMs, staleWhileRevalidateMs }: Settings): boolean {
		return now - this.fetchedAt < maxAgeMs + staleWhileRevalidateMs;
	}

	/** Whether the last refresh failed so recently that the next one has to wait. */
	isCoolingDown(now: number, { cooldownMs }: Settings): boolean {
		return this.failure !== undefined && now >= this.failure.at && now - this.failure.at < cooldownMs;
	}

	toSnapshot(includeHidden: boolean, isFresh: boolean): CatalogSnapshot {
		return {
			models: this.copyModels(includeHidden),
			fetchedAt: this.fetchedAt,
			isFresh,
			configured: { ...this.configured },
			refreshError: this.failure?.error ?? null,
		};
	}
}

import type { CodexConfiguredModel, CodexModel, CodexModelSummary } from '../api/codex-model.js';
import { copyModel, copySummary, toSummary } from '../api/codex-model.js';
import type { CodexModelsError } from '../api/errors.js';
import type { Fingerprint, ModelListAnswer } from '../api/fetch.js';
import type { Settings } from '../api/settings.js';

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

/** The summaries are made at their first use. */
type View = { models: readonly CodexModel[]; summaries?: readonly CodexModelSummary[] };

/** One list in both views, with the failure of its last refresh. Callers only get copies. */
export class ModelList {
	/** In epoch ms. */
	readonly fetchedAt: number;
	readonly fingerprint: Fingerprint;
	readonly configured: Readonly<CodexConfiguredModel>;
	/** The last failed refresh since, and its time in epoch ms. */
	failure: { error: CodexModelsError; at: number } | undefined;
	readonly #all: View;
	readonly #visible: View;

	constructor(
		{ models, configured }: ModelListAnswer,
		fetchedAt: number,
		fingerprint: Fingerprint,
	) {
		this.fetchedAt = fetchedAt;
		this.fingerprint = fingerprint;
		this.configured = configured;
		this.#all = { models };
		this.#visible = { models: models.filter((model) => !model.hidden) };
	}

	/** The number of models, hidden ones included. */
	get size(): number {
		return this.#all.models.length;
	}

	copyModels(includeHidden: boolean): CodexModel[] {
		return (includeHidden ? this.#all : this.#visible).models.map(copyModel);
	}

	copySummaries(includeHidden: boolean): CodexModelSummary[] {
		const view = includeHidden ? this.#all : this.#visible;
		view.summaries ??= view.models.map(toSummary);
		return view.summaries.map(copySummary);
	}

	/** Whether the list is from these files. */
	matches({ account, configuration, command }: Fingerprint): boolean {
		if (this.fingerprint.account !== account || this.fingerprint.configuration !== configuration)
			return false;
		// A command that is a function was not called yet by this process: nothing is known against the list.
		return command === null || this.fingerprint.command === command;
	}

	/** Whether the list is young enough and from these files. */
	isFresh(current: Fingerprint, now: number, { maxAgeMs }: Settings): boolean {
		if (!this.matches(current)) return false;
		// After the clock was set back the age is unknown, and the list is not fresh until the clock has caught up.
		return now >= this.fetchedAt && now - this.fetchedAt < maxAgeMs;
	}

	/** Whether the list may be served at all, fresh or stale. */
	isServable(now: number, { maxAgeMs, staleWhileRevalidateMs }: Settings): boolean {
		return now - this.fetchedAt < maxAgeMs + staleWhileRevalidateMs;
	}

	/** Whether the last refresh failed so recently that the next one has to wait. */
	isCoolingDown(now: number, { cooldownMs }: Settings): boolean {
		return (
			this.failure !== undefined && now >= this.failure.at && now - this.failure.at < cooldownMs
		);
	}

	toSnapshot(includeHidden: boolean, isFresh: boolean): CatalogSnapshot {
		const { fetchedAt, failure } = this;
		const configured = { ...this.configured };
		return {
			models: this.copyModels(includeHidden),
			fetchedAt,
			isFresh,
			configured,
			refreshError: failure?.error ?? null,
		};
	}
}

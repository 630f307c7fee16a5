/**
 * An entry of `model/list` in Codex's own names, deep-frozen. A property that an older release lacks is `null`, `false` or
 * `[]`, and one that this version does not know passes through.
 */
export type CodexModel = Readonly<{
	/** The value that a picker stores. */
	id: string;
	/** The name that is sent to the model provider; mostly the same as `id`. */
	model: string;
	displayName: string;
	description: string | null;
	/** Codex's own picker leaves a hidden model out. */
	hidden: boolean;
	/** Codex's own default, whatever the user's configuration picks. */
	isDefault: boolean;
	/** The `id` of the model that Codex proposes instead. */
	upgrade: string | null;
	upgradeInfo: Readonly<{
		model: string;
		upgradeCopy: string | null;
		modelLink: string | null;
		migrationMarkdown: string | null;
		/** In epoch seconds. */
		retirementAt: number | null;
	}> | null;
	/** A note about a new model. */
	availabilityNux: Readonly<{ message: string }> | null;
	/** A `reasoningEffort` is a free string: new models bring new efforts. */
	supportedReasoningEfforts: readonly Readonly<{
		reasoningEffort: string;
		description: string | null;
	}>[];
	defaultReasoningEffort: string | null;
	serviceTiers: readonly Readonly<{
		id: string;
		name: string | null;
		description: string | null;
	}>[];
	defaultServiceTier: string | null;
	additionalSpeedTiers: readonly string[];
	/** For example `'text'` and `'image'`. */
	inputModalities: readonly string[];
	modelSpecialty: string | null;
	multiAgentVersion: string | null;
}>;

/** A model as `listCodexModels` returns it: these seven properties and no others. */
export type CodexModelSummary = {
	id: string;
	displayName: string;
	isDefault: boolean;
	defaultReasoningEffort?: string | null;
	defaultServiceTier?: string | null;
	/** The efforts in Codex's order; `undefined` where the model has none. */
	supportedReasoningEfforts?: string[];
	/** Search tokens in lower case: each tier's id and name, each once; `undefined` where the model has none. */
	serviceTiers?: string[];
};

/** An object of JSON. */
export type Properties = Record<string, unknown>;

export const isObject = (value: unknown): value is Properties =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

export const toObject = (value: unknown): Properties => (isObject(value) ? value : {});

export const toObjects = (value: unknown): Properties[] =>
	Array.isArray(value) ? value.filter(isObject) : [];

/** The trimmed string; `null` for a blank one and for a value that is no string. */
export const toText = (value: unknown): string | null =>
	typeof value === 'string' ? value.trim() || null : null;

const toTexts = (value: unknown): string[] =>
	Array.isArray(value) ? value.flatMap((item) => toText(item) ?? []) : [];
const toStringOrNull = (value: unknown) => (typeof value === 'string' ? value : null);

/**
 * Reads one entry of a `model/list` answer of any release from 0.66.0 on, or a `CodexModel` that was stored as JSON.
 * An unknown property passes through, and a known one of a wrong type counts as missing.
 *
 * @returns a deep-frozen copy; `undefined` for an entry without an `id` and a `model`.
 */
export function toCodexModel(value: unknown): CodexModel | undefined {
	const entry = toObject(value);
	const id = toText(entry.id) ?? toText(entry.model);
	if (id === null) return undefined;
	const nux = toObject(entry.availabilityNux);
	const info = toObject(entry.upgradeInfo);
	const successor = toText(info.model);
	const model: CodexModel = {
		...entry,
		id,
		model: toText(entry.model) ?? id,
		displayName: toText(entry.displayName) ?? id,
		description: toStringOrNull(entry.description),
		hidden: entry.hidden === true,
		isDefault: entry.isDefault === true,
		upgrade: toText(entry.upgrade),
		upgradeInfo: successor
			? {
					...info,
					model: successor,
					upgradeCopy: toStringOrNull(info.upgradeCopy),
					modelLink: toStringOrNull(info.modelLink),
					migrationMarkdown: toStringOrNull(info.migrationMarkdown),
					retirementAt: typeof info.retirementAt === 'number' ? info.retirementAt : null,
				}
			: null,
		availabilityNux: typeof nux.message === 'string' ? { ...nux, message: nux.message } : null,
		supportedReasoningEfforts: toObjects(entry.supportedReasoningEfforts).flatMap(toEffort),
		defaultReasoningEffort: toText(entry.defaultReasoningEffort),
		serviceTiers: toObjects(entry.serviceTiers).flatMap(toServiceTier),
		defaultServiceTier: toText(entry.defaultServiceTier),
		additionalSpeedTiers: toTexts(entry.additionalSpeedTiers),
		inputModalities: toTexts(entry.inputModalities),
		modelSpecialty: toStringOrNull(entry.modelSpecialty),
		multiAgentVersion: toStringOrNull(entry.multiAgentVersion),
	};
	// A copy, because the entry may belong to a host, which goes on to change it.
	return JSON.parse(JSON.stringify(model), (_, part) => Object.freeze(part));
}

function toEffort(effort: Properties) {
	const reasoningEffort = toText(effort.reasoningEffort);
	if (reasoningEffort === null) return [];
	return { ...effort, reasoningEffort, description: toStringOrNull(effort.description) };
}

function toServiceTier(tier: Properties) {
	const name = toText(tier.name);
	const id = toText(tier.id) ?? name;
	return id === null ? [] : { ...tier, id, name, description: toStringOrNull(tier.description) };
}

/** The model as `listCodexModels` returns it; shares nothing with its argument. */
export function toSummary(model: CodexModel): CodexModelSummary {
	const { id, displayName, isDefault, defaultReasoningEffort, defaultServiceTier } = model;
	const efforts = model.supportedReasoningEfforts.map(({ reasoningEffort }) => reasoningEffort);
	const tiers = model.serviceTiers.flatMap((tier) => [tier.id, tier.name ?? tier.id]);
	const tokens = new Set(tiers.map((token) => token.toLowerCase()));
	return {
		id,
		displayName,
		isDefault,
		defaultReasoningEffort,
		defaultServiceTier,
		supportedReasoningEfforts: efforts.length > 0 ? efforts : undefined,
		serviceTiers: tokens.size > 0 ? [...tokens] : undefined,
	};
}

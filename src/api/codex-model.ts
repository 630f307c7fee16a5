/** An entry of `model/list` in Codex's own names. What an older release lacks is `null`, `false` or `[]`. Deep-frozen. */
export type CodexModel = {
	/** The value that a picker stores. */
	readonly id: string;
	/** The name that is sent to the model provider; mostly the same as `id`. */
	readonly model: string;
	readonly displayName: string;
	readonly description: string | null;
	/** Codex's own picker leaves a hidden model out. */
	readonly hidden: boolean;
	/** Codex's own default, whatever the user's configuration picks. */
	readonly isDefault: boolean;
	/** The `id` of the model that Codex proposes instead. */
	readonly upgrade: string | null;
	readonly upgradeInfo: {
		readonly model: string;
		readonly upgradeCopy: string | null;
		readonly modelLink: string | null;
		readonly migrationMarkdown: string | null;
		/** In epoch seconds. */
		readonly retirementAt: number | null;
	} | null;
	/** A note about a new model. */
	readonly availabilityNux: { readonly message: string } | null;
	/** A `reasoningEffort` is a free string: new models bring new efforts. */
	readonly supportedReasoningEfforts: readonly {
		readonly reasoningEffort: string;
		readonly description: string | null;
	}[];
	readonly defaultReasoningEffort: string | null;
	readonly serviceTiers: readonly {
		readonly id: string;
		readonly name: string | null;
		readonly description: string | null;
	}[];
	readonly defaultServiceTier: string | null;
	readonly additionalSpeedTiers: readonly string[];
	/** For example `'text'` and `'image'`. */
	readonly inputModalities: readonly string[];
	readonly modelSpecialty: string | null;
	readonly multiAgentVersion: string | null;
};

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

type Properties = Record<string, unknown>;

export const isObject = (value: unknown): value is Properties =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** The trimmed string; `null` for a blank one and for a value that is no string. */
export const toText = (value: unknown): string | null =>
	typeof value === 'string' ? value.trim() || null : null;

const toStringOrNull = (value: unknown) => (typeof value === 'string' ? value : null);
const toArray = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const toTexts = (value: unknown) => toArray(value).flatMap((item) => toText(item) ?? []);

/**
 * Reads one entry of a `model/list` answer of any release from 0.66.0 on, or a `CodexModel` that was stored as JSON.
 * An unknown property passes through, and a known one of a wrong type counts as missing.
 *
 * @returns a deep-frozen copy; `undefined` for an entry without an `id` and a `model`.
 */
export function toCodexModel(entry: unknown): CodexModel | undefined {
	if (!isObject(entry)) return undefined;
	const id = toText(entry.id) ?? toText(entry.model);
	if (id === null) return undefined;
	const { upgradeInfo, availabilityNux } = entry;
	return deepFreeze({
		...entry,
		id,
		model: toText(entry.model) ?? id,
		displayName: toText(entry.displayName) ?? id,
		description: toStringOrNull(entry.description),
		hidden: entry.hidden === true,
		isDefault: entry.isDefault === true,
		upgrade: toText(entry.upgrade),
		upgradeInfo: isObject(upgradeInfo) ? toUpgradeInfo(upgradeInfo) : null,
		availabilityNux:
			isObject(availabilityNux) && typeof availabilityNux.message === 'string'
				? { ...availabilityNux, message: availabilityNux.message }
				: null,
		supportedReasoningEfforts: toArray(entry.supportedReasoningEfforts).flatMap(toEffort),
		defaultReasoningEffort: toText(entry.defaultReasoningEffort),
		serviceTiers: toArray(entry.serviceTiers).flatMap(toServiceTier),
		defaultServiceTier: toText(entry.defaultServiceTier),
		additionalSpeedTiers: toTexts(entry.additionalSpeedTiers),
		inputModalities: toTexts(entry.inputModalities),
		modelSpecialty: toStringOrNull(entry.modelSpecialty),
		multiAgentVersion: toStringOrNull(entry.multiAgentVersion),
	});
}

function toUpgradeInfo(info: Properties): CodexModel['upgradeInfo'] {
	const model = toText(info.model);
	if (model === null) return null;
	return {
		...info,
		model,
		upgradeCopy: toStringOrNull(info.upgradeCopy),
		modelLink: toStringOrNull(info.modelLink),
		migrationMarkdown: toStringOrNull(info.migrationMarkdown),
		retirementAt: typeof info.retirementAt === 'number' ? info.retirementAt : null,
	};
}

function toEffort(item: unknown) {
	const reasoningEffort = isObject(item) ? toText(item.reasoningEffort) : null;
	if (!isObject(item) || reasoningEffort === null) return [];
	return { ...item, reasoningEffort, description: toStringOrNull(item.description) };
}

function toServiceTier(item: unknown) {
	if (!isObject(item)) return [];
	const name = toText(item.name);
	const id = toText(item.id) ?? name;
	return id === null ? [] : { ...item, id, name, description: toStringOrNull(item.description) };
}

/** A copy, because the value may belong to a host, which goes on to change it. */
export function deepFreeze<T>(value: T): T {
	if (typeof value !== 'object' || value === null) return value;
	if (Array.isArray(value)) return Object.freeze(value.map(deepFreeze)) as T;
	const copy = { ...value };
	for (const name in copy) copy[name] = deepFreeze(copy[name]);
	return Object.freeze(copy);
}

/** The model as `listCodexModels` returns it; shares nothing with its argument. */
export function toSummary(model: CodexModel): CodexModelSummary {
	const efforts = model.supportedReasoningEfforts.flatMap(
		({ reasoningEffort }) => toText(reasoningEffort) ?? [],
	);
	const tokens = model.serviceTiers.flatMap(({ id, name }) =>
		[id, name].flatMap((part) => toText(part)?.toLowerCase() ?? []),
	);
	return {
		id: model.id,
		displayName: model.displayName,
		isDefault: model.isDefault,
		defaultReasoningEffort: model.defaultReasoningEffort,
		defaultServiceTier: model.defaultServiceTier,
		supportedReasoningEfforts: efforts.length > 0 ? efforts : undefined,
		serviceTiers: tokens.length > 0 ? [...new Set(tokens)] : undefined,
	};
}

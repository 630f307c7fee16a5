import { type CodexModel, isObject, toCodexModel } from '../api/codex-model.js';
import { sanitizeLine } from '../system/sanitize.js';

const maxPages = 100;

export class ModelListPages {
	readonly models: CodexModel[] = [];
	/** The cursor of the next page; `undefined` before the first page and after the last. */
	cursor: string | undefined;
	readonly #cursors = new Set<string>();

	/** Takes the result of one `model/list`; returns the problem of a page that cannot be read. */
	add(result: unknown): string | undefined {
		if (!isObject(result)) return 'its result is no object';
		const { data, nextCursor } = result;
		if (!Array.isArray(data)) return 'its result has no array "data"';
		for (const entry of data) {
			const model = toCodexModel(entry);
			if (model) this.models.push(model);
		}
		this.cursor = undefined;
		if (nextCursor === undefined || nextCursor === null || nextCursor === '') return undefined;
		if (typeof nextCursor !== 'string') return 'its "nextCursor" is neither a string nor null';
		if (this.#cursors.has(nextCursor)) {
			return `the cursor "${sanitizeLine(nextCursor, 100)}" came twice`;
		}
		this.#cursors.add(nextCursor);
		if (this.#cursors.size >= maxPages) return `there are more than ${maxPages} pages`;
		this.cursor = nextCursor;
		return undefined;
	}
}

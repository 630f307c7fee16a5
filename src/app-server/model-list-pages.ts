import { type CodexModel, isObject } from '../api/codex-model.js';
import { parseModels } from '../api/parse-models.js';
import { sanitizeLine } from '../system/sanitize.js';

const maxPages = 100;
/** A model takes 500 bytes of memory and more, and as few as 11 on the wire; Codex 0.169.0 has 12 models. */
const maxModels = 100_000;
/** The longest list, in characters of all its pages: a hundred of the longest lines would fill the memory. */
const maxListLength = 32 * 1024 * 1024;
/** The longest cursor, in characters; that of Codex 0.169.0 is a number. */
const maxCursorLength = 10_000;

export class ModelListPages {
	readonly models: CodexModel[] = [];
	/** The cursor of the next page; `undefined` before the first page and after the last. */
	cursor: string | undefined;
	readonly #cursors = new Set<string>();
	#length = 0;

	/** Takes the result of one `model/list`, and the length of its line; returns the problem of a page that cannot be read. */
	add(result: unknown, length: number): string | undefined {
		if (!isObject(result)) return 'its result is no object';
		const { data, nextCursor } = result;
		if (!Array.isArray(data)) return 'its result has no array "data"';
		this.#length += length;
		if (this.#length > maxListLength)
			return `its pages are longer than ${maxListLength} characters`;
		if (this.models.length + data.length > maxModels)
			return `there are more than ${maxModels} models`;
		for (const model of parseModels(data)) this.models.push(model);
		this.cursor = undefined;
		if (nextCursor === undefined || nextCursor === null || nextCursor === '') return undefined;
		if (typeof nextCursor !== 'string') return 'its "nextCursor" is neither a string nor null';
		if (nextCursor.length > maxCursorLength)
			return `its "nextCursor" is longer than ${maxCursorLength} characters`;
		if (this.#cursors.has(nextCursor))
			return `the cursor "${sanitizeLine(nextCursor, 100)}" came twice`;
		this.#cursors.add(nextCursor);
		if (this.#cursors.size >= maxPages) return `there are more than ${maxPages} pages`;
		this.cursor = nextCursor;
		return undefined;
	}
}

import { isObject } from '../api/codex-model.js';

/** A shorter line, in characters, is parsed in some milliseconds whatever it holds. */
const shortLength = 64 * 1024;
/** A list of models nests 6 deep. */
const maxDepth = 100;

/** The JSON-RPC message of a line; `undefined` for noise, such as the banner of a launcher. */
export function parseMessage(line: string): Record<string, unknown> | undefined {
	const text = line.trim();
	// A comparison of both ends costs a fiftieth of an error of `JSON.parse`.
	if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
	try {
		const message: unknown = JSON.parse(text.length > shortLength ? omitDeepParts(text) : text);
		return isObject(message) ? message : undefined;
	} catch {
		return undefined;
	}
}

/** Parsing 8 MB of brackets takes 1.9 s, and 8 MB of any other JSON at most 0.7 s (Node 20). */
function omitDeepParts(text: string): string {
	let kept = '';
	let keptUntil = 0;
	let depth = 0;
	for (let index = 0; index < text.length; index++) {
		const character = text[index];
		if (character === '"') {
			for (index++; index < text.length && text[index] !== '"'; index++)
				if (text[index] === '\\') index++;
		} else if (character === '{' || character === '[') {
			if (depth++ === maxDepth)
				kept += `${text.slice(keptUntil, index)}"[omitted: nested too deep]"`;
		} else if (character === '}' || character === ']') {
			if (--depth === maxDepth) keptUntil = index + 1;
		}
	}
	return kept + text.slice(keptUntil);
}

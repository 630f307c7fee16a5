import { stripVTControlCharacters } from 'node:util';
import type { CodexModel } from '../api/codex-model.js';

/** The text on one line, without anything that a terminal obeys and without invisible characters. */
export const toPrintable = (text: string) =>
	stripVTControlCharacters(text)
		.replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
		.trim();

/** Emoji and the letters of East Asia take two columns of a terminal; marks take none. */
const wide = /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ud7a3\uff01-\uff60]/gu;
const measureWidth = (text: string) =>
	[...text.replaceAll(/\p{M}/gu, '').replaceAll(wide, '##')].length;

/**
 * A table in which `*` marks Codex's default, and `>` the configured model. Columns that do not fit
 * the width are left out from the right, but never the ids, which users copy.
 */
export function formatTable(
	models: readonly CodexModel[],
	configured: string | null,
	maxWidth: number,
): string {
	const readers: Record<string, (model: CodexModel) => string> = {
		'': ({ id, model, isDefault }) =>
			(id === configured || model === configured ? '>' : '') + (isDefault ? '*' : ''),
		ID: ({ id }) => id,
		NAME: ({ displayName, hidden }) => displayName + (hidden ? ' (hidden)' : ''),
		EFFORTS: ({ supportedReasoningEfforts: efforts }) =>
			efforts.map(({ reasoningEffort }) => reasoningEffort).join(' '),
		TIERS: ({ serviceTiers }) => serviceTiers.map(({ id, name }) => name ?? id).join(' '),
	};
	let lines: string[] = [];
	let width = 0;
	for (const [title, read] of Object.entries(readers)) {
		const cells = [title, ...models.map((model) => toPrintable(read(model)))];
		// The gap after the last column, too, keeps a full line off the edge of the terminal.
		const columnWidth = Math.max(...cells.map(measureWidth)) + 2;
		width += columnWidth;
		if (width > maxWidth && !['', 'ID'].includes(title)) break;
		lines = cells.map(
			(cell, row) => (lines[row] ?? '') + cell + ' '.repeat(columnWidth - measureWidth(cell)),
		);
	}
	return lines.map((line) => line.trimEnd()).join('\n');
}

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CatalogEventPayload } from '../../src/api/events.js';
import type { FetchTarget, Fingerprint } from '../../src/api/fetch.js';
import type { CodexModelCatalogOptions } from '../../src/api/options.js';
import { CommandSource, resolveSettings } from '../../src/api/settings.js';
import { createFetcher } from '../../src/app-server/fetch-models.js';
import { makeLog, makeScript, quickTimings, type Shell } from '../app-server/shell-server.js';
import { afterTest, idsOf, makeDirectory, until } from '../harness.js';

const fingerprint: Fingerprint = { account: 'a', configuration: 'b', command: 'c' };

type Context = {
	signal?: AbortSignal;
	fingerprint?: Partial<Fingerprint>;
	target?: Partial<FetchTarget>;
};

/** A fetcher whose nth app-server follows the nth shell code, and each further one the last. */
export function makeFetcher(
	shells: Shell[],
	options: CodexModelCatalogOptions = {},
	timings = quickTimings,
) {
	const log = makeLog();
	const counter = path.join(makeDirectory(), 'starts');
	writeFileSync(counter, '0\n');
	const cases = shells.map(
		(shell, index) =>
			`${index + 1 < shells.length ? index + 1 : '*'}) ${makeScript(shell, log.file)} ;;`,
	);
	const script = `read -r s < ${counter}; s=$((s + 1)); echo $s > ${counter}; case $s in ${cases.join('\n')} esac`;
	const settings = resolveSettings({ command: '/bin/sh', args: ['-c', script], ...options });
	const fetcher = createFetcher(settings, new CommandSource(settings.command), timings);
	const events: CatalogEventPayload[] = [];
	afterTest(() => fetcher.close());
	const start = (context: Context = {}) =>
		fetcher.fetchModels(
			{ cwd: '/', isDefaultCwd: false, codexHome: undefined, key: 'target', ...context.target },
			{
				fingerprint: { ...fingerprint, ...context.fingerprint },
				signal: context.signal ?? new AbortController().signal,
				emit: (payload) => events.push(payload),
			},
		);
	const ofType = <T extends CatalogEventPayload['type']>(type: T) =>
		events.filter(
			(event): event is Extract<CatalogEventPayload, { type: T }> => event.type === type,
		);
	return {
		fetcher,
		log,
		start,
		/** The ids of a whole fetch. */
		list: async (context?: Context) => idsOf((await start(context).answer).models),
		events,
		ofType,
		untilEvents: (type: CatalogEventPayload['type'], count = 1) =>
			until(`${count} × ${type} was told`, () => ofType(type).length >= count),
		starts: () => Number(readFileSync(counter, 'utf8')),
	};
}

import { callHost, protocolError } from './api/errors.js';
import { type Fetcher, type FetchRequest, readAnswer } from './api/fetch.js';
import type { FetchModels } from './api/options.js';

/** Fetches by the function of a host, in place of app-servers that this library starts. */
export function createHostFetcher(fetchModels: FetchModels): Fetcher {
	const fetch = async ({ target: { cwd, codexHome }, signal }: FetchRequest) => {
		const answer = await fetchModels({ cwd, codexHome, signal });
		if (Array.isArray(answer?.models)) return readAnswer(answer);
		const hint = 'The function "fetchModels" must return an object whose "models" are an array.';
		throw protocolError({ problem: 'it has no array of models', phase: 'model/list', hint });
	};
	return {
		maxAtOnce: Infinity,
		startFetch: (request) => ({
			answer: callHost('fetchModels', () => fetch(request)),
			attempts: 1,
		}),
	};
}

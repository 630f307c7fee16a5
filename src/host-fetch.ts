import { callHost, protocolError } from './api/errors.js';
import { type Fetcher, type ModelListAnswer, readAnswer } from './api/fetch.js';
import type { FetchModels } from './api/options.js';
import { createTurns } from './app-server/turns.js';

/** Fetches by the function of a host, in place of app-servers that this library starts. */
export const createHostFetcher = (fetchModels: FetchModels): Fetcher => ({
	waitForTurn: createTurns(Infinity),
	startFetch: ({ target: { cwd, codexHome }, signal }) => ({
		answer: callHost('fetchModels', async () =>
			read(await fetchModels({ cwd, codexHome, signal })),
		),
		attempts: 1,
	}),
});

function read(answer: Awaited<ReturnType<FetchModels>>): ModelListAnswer {
	if (!Array.isArray(answer?.models)) {
		const hint = 'The function "fetchModels" must return an object whose "models" are an array.';
		throw protocolError({ problem: 'it has no array of models', phase: 'model/list', hint });
	}
	return readAnswer(answer);
}

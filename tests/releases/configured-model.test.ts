import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { idsOf, makeDirectory } from '../harness.js';
import {
	appServer,
	decideCell,
	makeHome,
	makeReleaseCatalog,
	releases,
	wrap,
} from './release-harness.js';
import { isAtLeast } from './versions.js';

const provider = '[model_providers.mine]\nname = "Mine"\nbase_url = "http://127.0.0.1:9/v1"\n';
const config = 'model = "my-own"\nmodel_provider = "mine"\nmodel_reasoning_effort = "high"\n';
const ofConfig = { model: 'my-own', modelProvider: 'mine', reasoningEffort: 'high' };

test.each(releases)(
	'$version reads the configured model from config.toml, keeps nothing else of it, and lists as without a configuration',
	async (release) => {
		decideCell(release, 'configured');
		const plain = await makeReleaseCatalog(release).catalog.read({ includeHidden: true });
		expect(plain.configured).toEqual({ model: null, modelProvider: null, reasoningEffort: null });

		const secret = 'hidden-in-the-configuration';
		const server = `[mcp_servers.mine]\ncommand = "true"\nenv = { KEY = "${secret}" }\n`;
		const codexHome = makeHome({ 'config.toml': config + provider + server });
		const store = new Map();
		const { catalog, events } = makeReleaseCatalog(wrap(release), { codexHome, store });
		const snapshot = await catalog.read({ includeHidden: true });
		await catalog.close();
		expect(snapshot.configured).toEqual(ofConfig);
		expect(snapshot.models).toEqual(plain.models);
		expect(idsOf(snapshot.models)).not.toContain('my-own');
		expect(store.size).toBe(1);
		expect(JSON.stringify([snapshot, [...store], events.all])).not.toContain(secret);
	},
);

test.each(releases)('$version puts -c arguments before config.toml', async (release) => {
	decideCell(release, 'configured');
	const codexHome = makeHome({ 'config.toml': config + provider });
	const args = [...appServer, '-c', 'model=of-arguments', '-c', 'model_provider=openai'];
	const { configured } = await makeReleaseCatalog(release, { codexHome, args }).catalog.read();
	expect(configured).toEqual({ ...ofConfig, model: 'of-arguments', modelProvider: 'openai' });
});

/** A project with a configuration of its own, and a home that trusts it or does not. */
function makeProject(isTrusted: boolean) {
	const project = makeDirectory();
	const cwd = path.join(project, 'src');
	// An empty directory `.git` would be no repository for 0.150.0 and later.
	writeFileSync(path.join(project, '.git'), '');
	mkdirSync(path.join(project, '.codex'));
	mkdirSync(cwd);
	const ofProject = 'model = "of-project"\nmodel_reasoning_effort = "low"\n';
	writeFileSync(path.join(project, '.codex', 'config.toml'), ofProject);
	const trust = isTrusted ? `[projects.${JSON.stringify(project)}]\ntrust_level = "trusted"\n` : '';
	return { cwd, codexHome: makeHome({ 'config.toml': config + trust + provider }) };
}

test.each(releases)(
	'$version reads the configuration of a trusted project from 0.100.0 on, for a cwd in it alone',
	async (release) => {
		decideCell(release, 'configured');
		const trusted = makeProject(true);
		const { catalog } = makeReleaseCatalog(release, { codexHome: trusted.codexHome });
		const isRead = isAtLeast(release.version, '0.100.0');
		const ofProject = isRead
			? { ...ofConfig, model: 'of-project', reasoningEffort: 'low' }
			: ofConfig;
		expect((await catalog.read({ cwd: trusted.cwd })).configured).toEqual(ofProject);
		expect((await catalog.read()).configured).toEqual(ofConfig);
		const { cwd, codexHome } = makeProject(false);
		const untrusted = makeReleaseCatalog(release, { codexHome, cwd }).catalog;
		expect((await untrusted.read()).configured).toEqual(ofConfig);
	},
);

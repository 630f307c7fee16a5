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

test.each(releases)('$version without a configuration has no configured model', async (release) => {
	decideCell(release, 'configured');
	const { catalog } = makeReleaseCatalog(release);
	const { configured } = await catalog.read();
	expect(configured).toEqual({ model: null, modelProvider: null, reasoningEffort: null });
});

test.each(releases)(
	'$version reads the configured model from config.toml, and neither the list nor its default changes',
	async (release) => {
		decideCell(release, 'configured');
		const plain = await makeReleaseCatalog(release).catalog.list({ includeHidden: true });
		const codexHome = makeHome({ 'config.toml': config + provider });
		const { catalog } = makeReleaseCatalog(wrap(release), { codexHome });
		const { models, configured } = await catalog.read({ includeHidden: true });
		expect(configured).toEqual(ofConfig);
		expect(models).toEqual(plain);
		expect(idsOf(models)).not.toContain('my-own');
	},
);

test.each(releases)('$version reads a configured model that is on the list', async (release) => {
	decideCell(release, 'configured');
	const models = await makeReleaseCatalog(release).catalog.list();
	const other = models.find(({ isDefault }) => !isDefault)?.id;
	const codexHome = makeHome({ 'config.toml': `model = "${other}"\n` });
	const snapshot = await makeReleaseCatalog(release, { codexHome }).catalog.read();
	expect(snapshot.configured).toEqual({ model: other, modelProvider: null, reasoningEffort: null });
	expect(snapshot.models).toEqual(models);
});

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
		const { cwd, codexHome } = makeProject(true);
		const { catalog } = makeReleaseCatalog(release, { codexHome });
		const { configured } = await catalog.read({ cwd });
		const isRead = isAtLeast(release.version, '0.100.0');
		expect(configured).toEqual(
			isRead ? { ...ofConfig, model: 'of-project', reasoningEffort: 'low' } : ofConfig,
		);
		expect((await catalog.read()).configured).toEqual(ofConfig);
	},
);

test.each(releases)(
	'$version skips the configuration of a project that is not trusted',
	async (release) => {
		decideCell(release, 'configured');
		const { cwd, codexHome } = makeProject(false);
		const { configured } = await makeReleaseCatalog(release, { codexHome }).catalog.read({ cwd });
		expect(configured).toEqual(ofConfig);
	},
);

test.each(releases)('$version: nothing else of the configuration is kept', async (release) => {
	decideCell(release, 'configured');
	const secret = 'hidden-in-the-configuration';
	const server = `[mcp_servers.mine]\ncommand = "true"\nenv = { KEY = "${secret}" }\n`;
	const codexHome = makeHome({ 'config.toml': config + provider + server });
	const stored: unknown[] = [];
	const store = {
		get: () => undefined,
		set: (...entry: unknown[]) => void stored.push(entry),
		delete: () => {},
	};
	const { catalog, events } = makeReleaseCatalog(release, { codexHome, store });
	const snapshot = await catalog.read();
	await catalog.close();
	expect(snapshot.configured).toEqual(ofConfig);
	expect(stored).toHaveLength(1);
	expect(JSON.stringify([snapshot, stored, events.all])).not.toContain(secret);
});

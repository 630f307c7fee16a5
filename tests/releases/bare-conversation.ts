import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { plainModel } from '../harness.js';
import { appServer, type Release } from './release-harness.js';

export type WireModel = Record<string, unknown>;

/** The entries that Codex lists in the plainest conversation: a launcher, three messages, and the lines that come back. */
export async function converse(
	{ command }: Release,
	codexHome: string,
	includeHidden: boolean,
): Promise<WireModel[]> {
	const child = spawn(command, appServer, {
		env: { ...process.env, CODEX_HOME: codexHome },
		stdio: ['pipe', 'pipe', 'ignore'],
		detached: true,
	});
	const exited = new Promise((resolve) => child.once('exit', resolve));
	const say = (message: object) => child.stdin.write(`${JSON.stringify(message)}\n`);
	const clientInfo = { name: 'bare', version: '1.0.0' };
	say({ id: 'hello', method: 'initialize', params: { clientInfo, capabilities: null } });
	try {
		for await (const line of createInterface({ input: child.stdout })) {
			const { id, result } = JSON.parse(line);
			if (id === 'hello') {
				say({ method: 'initialized' });
				say({ id: 'list', method: 'model/list', params: { includeHidden } });
			}
			if (id === 'list') return result.data;
		}
		throw new Error('The bare conversation broke off');
	} finally {
		child.stdin.end();
		child.stdout.destroy();
		await exited;
	}
}

/** The values for what older releases do not send. */
const { id: _id, model: _model, displayName: _name, ...missing } = plainModel('any');
const missingInUpgrade = {
	upgradeCopy: null,
	modelLink: null,
	migrationMarkdown: null,
	retirementAt: null,
};

/** The model that the documents promise for a wire entry, made without the library. */
export const expectModel = (wire: WireModel) => ({
	...missing,
	...wire,
	upgradeInfo: wire.upgradeInfo ? { ...missingInUpgrade, ...wire.upgradeInfo } : null,
});

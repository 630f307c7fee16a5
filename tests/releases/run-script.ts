import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs one of `scripts/` and parses the JSON that it prints; its progress on stderr is shown at once. */
export async function runScript<T>(name: string): Promise<T> {
	const file = fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
	const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
	let output = '';
	child.stdout.setEncoding('utf8').on('data', (chunk) => {
		output += chunk;
	});
	const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
	if (exitCode !== 0) throw new Error(`scripts/${name} failed, for the reason that it wrote above`);
	return JSON.parse(output);
}

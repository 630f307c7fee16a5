import { readdir, readFile } from 'node:fs/promises';
import process from 'node:process';
import { isWindows } from '../system/environment.js';
import { sleep } from '../system/timers.js';

/** The wait for the rest of a process group after each signal, in milliseconds. */
const steps = { SIGTERM: 300, SIGKILL: 100 } as const;
const pollMs = 10;

/** Signals a process group; returns whether there is one. 0 only asks. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
	try {
		return process.kill(-group, signal);
	} catch {
		return false;
	}
}

/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
export async function endGroup(group: number): Promise<void> {
	if (isWindows) return;
	for (const [signal, limitMs] of Object.entries(steps)) {
		signalGroup(group, signal as NodeJS.Signals);
		for (let waitedMs = 0; waitedMs < limitMs; waitedMs += pollMs) {
			if (!(await isGroupAlive(group))) return;
			await sleep(pollMs);
		}
	}
}

/**
 * Whether a process of the group runs. A dead one whose parent has not fetched its exit does not: in a container whose first
 * process is the host, without an init, it stays for as long as the container.
 */
async function isGroupAlive(group: number): Promise<boolean> {
	if (!signalGroup(group, 0)) return false;
	if (process.platform !== 'linux') return true;
	const names = await readdir('/proc').catch(() => undefined);
	// Without a file descriptor nothing is known.
	if (!names) return true;
	for (const name of names) {
		const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
		// The fields follow the name, which stands in brackets and may hold some: state, parent, group.
		const [state = '', , ofGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		if (Number(ofGroup) === group && !/[ZX]/.test(state)) return true;
	}
	return false;
}

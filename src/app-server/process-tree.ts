import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import process from 'node:process';
import { isWindows } from '../system/environment.js';
import { sleep } from '../system/timers.js';
import { systemProgram } from './windows.js';

/** The wait for the rest of a process group after each signal, in milliseconds. */
const groupWaits = { SIGTERM: 300, SIGKILL: 100 };
const pollMs = 10;
/** A working `taskkill` takes some 30 ms. */
const taskkillOptions = { stdio: 'ignore', windowsHide: true, timeout: 2_000 } as const;

const taskkill = ({ pid }: ChildProcess) =>
	[systemProgram('taskkill.exe'), ['/pid', String(pid), '/t', '/f'], taskkillOptions] as const;

/** Signals the group that a started child leads; returns whether there is such a group. 0 only asks. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals | 0): boolean {
	try {
		return process.kill(-(pid as number), signal);
	} catch {
		return false;
	}
}

/**
 * Signals a child and all that it started. Windows has neither groups nor signals: `taskkill` ends the tree; where it fails,
 * the child alone is ended.
 */
export function signalTree(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
	if (!isWindows) {
		signalGroup(child, signal);
		return;
	}
	const killChild = () => child.kill('SIGKILL');
	try {
		const killer = spawn(...taskkill(child));
		killer.once('error', killChild).once('exit', (code) => code === 0 || killChild());
		killer.unref();
	} catch {
		killChild();
	}
}

/** For the exit of the parent process, which an asynchronous `taskkill` does not outlive. */
export function endTreeNow(child: ChildProcess): void {
	if (!isWindows) signalGroup(child, 'SIGKILL');
	else if (spawnSync(...taskkill(child)).status !== 0) child.kill('SIGKILL');
}

/** The `git` of a plugin sync outlives its app-server (Codex 0.125.0 to 0.169.0), the real program a killed launcher. */
export async function endRestOfGroup(child: ChildProcess): Promise<void> {
	if (isWindows) return;
	for (const [signal, limitMs] of Object.entries(groupWaits)) {
		signalGroup(child, signal as NodeJS.Signals);
		for (let waitedMs = 0; waitedMs < limitMs; waitedMs += pollMs) {
			if (!(await isGroupAlive(child))) return;
			await sleep(pollMs);
		}
	}
}

/**
 * Whether a process of the group runs. A dead one whose parent has not fetched its exit does not: in a container whose first
 * process is the host, without an init, it stays for as long as the container.
 */
async function isGroupAlive(leader: ChildProcess): Promise<boolean> {
	if (!signalGroup(leader, 0)) return false;
	if (process.platform !== 'linux') return true;
	const names = await readdir('/proc').catch(() => undefined);
	// Without a file descriptor nothing is known.
	if (!names) return true;
	for (const name of names) {
		const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
		// The fields follow the name, which stands in brackets and may hold some: state, parent, group.
		const [state = '', , ofGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		if (Number(ofGroup) === leader.pid && !/[ZX]/.test(state)) return true;
	}
	return false;
}

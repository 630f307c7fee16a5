import { readdir, readFile } from 'node:fs/promises';
import process from 'node:process';

/**
 * Whether a process of the group runs. A dead one whose parent has not fetched its exit does not: in a container whose first
 * process is the host, without an init, it stays for as long as the container.
 */
export async function isGroupAlive(group: number): Promise<boolean> {
	try {
		process.kill(-group, 0);
	} catch {
		return false;
	}
	if (process.platform !== 'linux') return true;
	try {
		for (const name of await readdir('/proc')) {
			if (/^\d+$/.test(name) && (await isRunning(name, group))) return true;
		}
		return false;
	} catch {
		return true;
	}
}

async function isRunning(pid: string, group: number): Promise<boolean> {
	const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
	// The fields follow the name, which stands in brackets and may hold some: state, parent, group.
	const [state = '', , ofGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
	return Number(ofGroup) === group && !/[ZX]/.test(state);
}

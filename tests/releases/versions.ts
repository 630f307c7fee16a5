const toNumbers = (version: string) => version.split(/[.-]/, 3).map(Number);

/** Orders versions of Codex, the oldest first; a pre-release counts as its release. */
export function compareVersions(a: string, b: string): number {
	const [left, right] = [toNumbers(a), toNumbers(b)];
	const index = left.findIndex((part, at) => part !== right[at]);
	return index === -1 ? 0 : (left[index] as number) - (right[index] as number);
}

export const isAtLeast = (version: string, least: string) => compareVersions(version, least) >= 0;

/*
 * taskkill /pid N /t /f: ends the descendants of a process, then itself. Wine 8's own taskkill refuses /t.
 *
 * Each run adds a line, its own path, to the file that TASKKILL_LOG names. TASKKILL_FAILS makes each run end nothing, with
 * exit code 1, which is that of Windows where a process could not be ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>
#include <tlhelp32.h>

#define MOST 2048

static PROCESSENTRY32 table[MOST];
static int rows;

static void read_table(void)
{
	HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
	PROCESSENTRY32 entry = {.dwSize = sizeof entry};

	for (BOOL more = Process32First(snapshot, &entry); more && rows < MOST; more = Process32Next(snapshot, &entry))
		table[rows++] = entry;
	CloseHandle(snapshot);
}

/* Process ids are used again, so a loop of parents is possible: the depth bounds the walk. */
static int end_tree(DWORD id, int depth)
{
	HANDLE process;

	for (int row = 0; row < rows && depth < 32; row++)
		if (table[row].th32ParentProcessID == id && table[row].th32ProcessID != id)
			end_tree(table[row].th32ProcessID, depth + 1);
	process = OpenProcess(PROCESS_TERMINATE, FALSE, id);
	return process != NULL && TerminateProcess(process, 1);
}

static void write_log(const char *name)
{
	char path[MAX_PATH] = "";
	FILE *file = name == NULL ? NULL : fopen(name, "a");

	if (file == NULL)
		return;
	GetModuleFileNameA(NULL, path, sizeof path);
	fprintf(file, "%s\n", path);
	fclose(file);
}

int main(int count, char **words)
{
	write_log(getenv("TASKKILL_LOG"));
	if (getenv("TASKKILL_FAILS") != NULL || count < 3)
		return 1;
	read_table();
	return end_tree(strtoul(words[2], NULL, 10), 0) ? 0 : 1;
}

/*
 * taskkill /pid N [/t] [/f]: ends a process, with /t its descendants first. Wine 8's own taskkill refuses /t.
 *
 * Exit codes are those of Windows: 128 where there is no such process, 1 where it could not be ended.
 * Each run adds a line, its own path, to the file that TASKKILL_LOG names. TASKKILL_FAILS makes each run end nothing, with
 * exit code 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <tlhelp32.h>

#define MOST 2048

struct process {
	DWORD id;
	DWORD parent;
};

static struct process table[MOST];
static int rows;

static void read_table(void)
{
	PROCESSENTRY32 entry = {.dwSize = sizeof entry};
	HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);

	for (BOOL more = Process32First(snapshot, &entry); more && rows < MOST; more = Process32Next(snapshot, &entry)) {
		table[rows].id = entry.th32ProcessID;
		table[rows].parent = entry.th32ParentProcessID;
		rows++;
	}
	CloseHandle(snapshot);
}

static int is_running(DWORD id)
{
	for (int row = 0; row < rows; row++)
		if (table[row].id == id)
			return 1;
	return 0;
}

static int end_process(DWORD id)
{
	HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, id);
	int ended = process != NULL && TerminateProcess(process, 1);

	if (process != NULL)
		CloseHandle(process);
	return ended;
}

/* Process ids are used again, so a loop of parents is possible: the depth bounds the walk. */
static void end_descendants(DWORD id, int depth)
{
	for (int row = 0; row < rows && depth < 32; row++) {
		if (table[row].parent != id || table[row].id == id)
			continue;
		end_descendants(table[row].id, depth + 1);
		end_process(table[row].id);
	}
}

static void write_log(void)
{
	char path[MAX_PATH] = "";
	const char *name = getenv("TASKKILL_LOG");
	FILE *file = name == NULL ? NULL : fopen(name, "a");

	if (file == NULL)
		return;
	GetModuleFileNameA(NULL, path, sizeof path);
	fprintf(file, "%s\n", path);
	fclose(file);
}

int main(int count, char **words)
{
	DWORD id = 0;
	int with_tree = 0;

	for (int at = 1; at < count; at++) {
		if (_stricmp(words[at], "/t") == 0)
			with_tree = 1;
		else if (_stricmp(words[at], "/pid") == 0 && at + 1 < count)
			id = strtoul(words[++at], NULL, 10);
	}
	write_log();
	if (getenv("TASKKILL_FAILS") != NULL) {
		fprintf(stderr, "ERROR: Access is denied.\n");
		return 1;
	}
	read_table();
	if (!is_running(id)) {
		fprintf(stderr, "ERROR: The process \"%lu\" not found.\n", (unsigned long)id);
		return 128;
	}
	if (with_tree)
		end_descendants(id, 0);
	return end_process(id) ? 0 : 1;
}
